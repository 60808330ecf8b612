# A new object in the bucket -> the topic -> the queue -> the dead-letter queue (after too many receptions).

data "aws_caller_identity" "this" {}

data "aws_s3_bucket" "input" {
  bucket = var.input_bucket
}

resource "aws_sns_topic" "objects" {
  name = "${var.name}-objects"
}

data "aws_iam_policy_document" "topic" {
  statement {
    sid       = "OnlyTheBucketPublishes"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.objects.arn]

    principals {
      type        = "Service"
      identifiers = ["s3.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [data.aws_s3_bucket.input.arn]
    }

    # After a bucket is deleted, another account may create one of the same name.
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.this.account_id]
    }
  }
}

resource "aws_sns_topic_policy" "objects" {
  arn    = aws_sns_topic.objects.arn
  policy = data.aws_iam_policy_document.topic.json
}

# A bucket has a single notification configuration; this resource replaces an existing one.
resource "aws_s3_bucket_notification" "objects" {
  bucket = data.aws_s3_bucket.input.id

  topic {
    topic_arn     = aws_sns_topic.objects.arn
    events        = ["s3:ObjectCreated:*"]
    filter_prefix = var.input_prefix
  }

  # S3 sends a test message when the notification is set up, and refuses the configuration if that fails.
  depends_on = [aws_sns_topic_policy.objects]
}

resource "aws_sqs_queue" "dead" {
  name                      = "${var.name}-work-dead"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue" "work" {
  name                       = "${var.name}-work"
  visibility_timeout_seconds = var.visibility_timeout_s
  message_retention_seconds  = var.retention_s
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead.arn
    maxReceiveCount     = var.receives_max
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.work.arn]
  })
}

data "aws_iam_policy_document" "queue" {
  statement {
    sid       = "OnlyTheTopicSends"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.work.arn]

    principals {
      type        = "Service"
      identifiers = ["sns.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_sns_topic.objects.arn]
    }
  }
}

resource "aws_sqs_queue_policy" "work" {
  queue_url = aws_sqs_queue.work.id
  policy    = data.aws_iam_policy_document.queue.json
}

resource "aws_sns_topic_subscription" "work" {
  topic_arn = aws_sns_topic.objects.arn
  protocol  = "sqs"
  endpoint  = aws_sqs_queue.work.arn

  # SNS drops messages that it may not deliver, so the policy must exist before the subscription.
  depends_on = [aws_sqs_queue_policy.work]
}
