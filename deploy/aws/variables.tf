variable "name" {
  description = "Prefix of the names of all resources, such as clickcast-dev."
  type        = string
  default     = "clickcast"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,39}$", var.name))
    error_message = "The name must have 2 to 40 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "input_bucket" {
  description = "Name of the existing bucket for feature files."
  type        = string
}

variable "input_prefix" {
  description = "Prefix of the keys of feature files, such as in/; must end in a slash, or be empty."
  type        = string
  default     = "in/"

  validation {
    condition     = var.input_prefix == "" || endswith(var.input_prefix, "/")
    error_message = "The prefix must end in a slash, or be empty."
  }
}

variable "output_bucket" {
  description = "Name of the existing bucket for runs and predictions."
  type        = string
}

variable "output_prefix" {
  description = "Prefix of the keys of runs and predictions; must end in a slash."
  type        = string
  default     = "predictions/"

  validation {
    condition     = endswith(var.output_prefix, "/")
    error_message = "The prefix must end in a slash."
  }
}

variable "registry_bucket" {
  description = "Name of the existing bucket of the model registry."
  type        = string
}

variable "registry_prefix" {
  description = "Prefix of the keys of the model registry; must end in a slash."
  type        = string
  default     = "registry/"

  validation {
    condition     = endswith(var.registry_prefix, "/")
    error_message = "The prefix must end in a slash."
  }
}

variable "visibility_timeout_s" {
  description = "Seconds after which the message of a dead worker becomes visible again. A live worker extends this time."
  type        = number
  default     = 60
}

variable "receives_max" {
  description = "Number of receptions after which a message becomes a dead letter: it has probably killed as many workers."
  type        = number
  default     = 5
}

variable "retention_s" {
  description = "Seconds for which the work queue keeps a message. Dead letters are kept for 14 days."
  type        = number
  default     = 345600
}

variable "oidc_provider_arn" {
  description = "ARN of the cluster's OpenID Connect provider, through which pods assume their roles."
  type        = string
}

variable "namespace" {
  description = "Kubernetes namespace of the workers."
  type        = string
  default     = "clickcast"
}

variable "service_account" {
  description = "Kubernetes service account of the workers; by default the chart's full name."
  type        = string
  default     = "clickcast"
}

variable "keda_service_account" {
  description = "Namespace and name of the service account of KEDA's operator, which reads the queue's length."
  type        = string
  default     = "keda:keda-operator"
}
