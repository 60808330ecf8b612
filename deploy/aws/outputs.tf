output "queue_url" {
  description = "URL of the work queue: the chart's worker.queue."
  value       = aws_sqs_queue.work.url
}

output "dead_queue_url" {
  description = "URL of the dead-letter queue."
  value       = aws_sqs_queue.dead.url
}

output "worker_role_arn" {
  description = "ARN of the workers' role: the chart's serviceAccount.annotations."
  value       = aws_iam_role.this["worker"].arn
}

output "keda_role_arn" {
  description = "ARN of the role for the service account of KEDA's operator."
  value       = aws_iam_role.this["keda"].arn
}
