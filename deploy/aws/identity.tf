# Roles that pods assume with their service accounts' tokens, so no access key is stored anywhere.

locals {
  issuer = element(split("oidc-provider/", var.oidc_provider_arn), 1)

  trusted = {
    worker = "system:serviceaccount:${var.namespace}:${var.service_account}"
    keda   = "system:serviceaccount:${var.keda_service_account}"
  }

  registry_arn = "arn:${data.aws_partition.this.partition}:s3:::${var.registry_bucket}"
  output_arn   = "arn:${data.aws_partition.this.partition}:s3:::${var.output_bucket}"
}

data "aws_partition" "this" {}

data "aws_iam_policy_document" "trust" {
  for_each = local.trusted

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [var.oidc_provider_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = [each.value]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "this" {
  for_each           = local.trusted
  name               = "${var.name}-${each.key}"
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
}

data "aws_iam_policy_document" "worker" {
  # Workers also send messages: the first worker to meet a large file splits it into ranges.
  statement {
    sid = "Work"
    actions = [
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:GetQueueUrl",
      "sqs:ReceiveMessage",
      "sqs:SendMessage",
    ]
    resources = [aws_sqs_queue.work.arn]
  }

  statement {
    sid       = "SendDeadLetters"
    actions   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"]
    resources = [aws_sqs_queue.dead.arn]
  }

  # For whole buckets: with a condition on the prefix, S3 reports a missing object as forbidden.
  statement {
    sid       = "DistinguishMissingFromForbidden"
    actions   = ["s3:ListBucket"]
    resources = distinct([data.aws_s3_bucket.input.arn, local.registry_arn, local.output_arn])
  }

  statement {
    sid     = "ReadInputsAndModels"
    actions = ["s3:GetObject"]
    resources = [
      "${data.aws_s3_bucket.input.arn}/${var.input_prefix}*",
      "${local.registry_arn}/${var.registry_prefix}*",
    ]
  }

  statement {
    sid       = "WritePredictions"
    actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"]
    resources = ["${local.output_arn}/${var.output_prefix}*"]
  }

  # Removes the error record of an input that could not be scored earlier and now was. Nothing else is ever deleted.
  statement {
    sid       = "DeleteErrorRecords"
    actions   = ["s3:DeleteObject"]
    resources = ["${local.output_arn}/${var.output_prefix}*/errors/*"]
  }
}

data "aws_iam_policy_document" "keda" {
  statement {
    sid       = "ReadQueueLength"
    actions   = ["sqs:GetQueueAttributes"]
    resources = [aws_sqs_queue.work.arn]
  }
}

resource "aws_iam_role_policy" "worker" {
  name   = "work"
  role   = aws_iam_role.this["worker"].id
  policy = data.aws_iam_policy_document.worker.json
}

resource "aws_iam_role_policy" "keda" {
  name   = "scale"
  role   = aws_iam_role.this["keda"].id
  policy = data.aws_iam_policy_document.keda.json
}
