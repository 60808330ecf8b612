variable "name" {
  description = "Names all that is made here, such as clickcast-dev."
  type        = string
  default     = "clickcast"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,39}$", var.name))
    error_message = "The name has 2 to 40 small letters, digits and hyphens, and begins with a letter."
  }
}

variable "input_bucket" {
  description = "The existing bucket that feature files land in."
  type        = string
}

variable "input_prefix" {
  description = "What their keys begin with, such as in/; a slash ends it."
  type        = string
  default     = "in/"

  validation {
    condition     = var.input_prefix == "" || endswith(var.input_prefix, "/")
    error_message = "The prefix ends in a slash, or is empty."
  }
}

variable "output_bucket" {
  description = "The existing bucket of runs and predictions."
  type        = string
}

variable "output_prefix" {
  description = "What their keys begin with; a slash ends it."
  type        = string
  default     = "predictions/"

  validation {
    condition     = endswith(var.output_prefix, "/")
    error_message = "The prefix ends in a slash."
  }
}

variable "registry_bucket" {
  description = "The existing bucket of the model registry."
  type        = string
}

variable "registry_prefix" {
  description = "What its keys begin with; a slash ends it."
  type        = string
  default     = "registry/"

  validation {
    condition     = endswith(var.registry_prefix, "/")
    error_message = "The prefix ends in a slash."
  }
}

variable "visibility_timeout_s" {
  description = "Seconds after which the message of a dead worker comes back. A live one extends it."
  type        = number
  default     = 60
}

variable "receives_max" {
  description = "Receptions after which a message is a dead letter: one that killed so many workers will kill more."
  type        = number
  default     = 5
}

variable "retention_s" {
  description = "Seconds that a message is kept; dead letters, 14 days."
  type        = number
  default     = 345600
}

variable "oidc_provider_arn" {
  description = "The cluster's OpenID Connect provider, by which pods get their role."
  type        = string
}

variable "namespace" {
  description = "The namespace of the workers."
  type        = string
  default     = "clickcast"
}

variable "service_account" {
  description = "The service account of the workers: the chart's full name."
  type        = string
  default     = "clickcast"
}

variable "keda_service_account" {
  description = "Namespace and name of the service account of KEDA's operator, which asks how long the queue is."
  type        = string
  default     = "keda:keda-operator"
}
