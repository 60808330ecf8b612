output "queue_url" {
  description = "The chart's worker.queue."
  value       = aws_sqs_queue.work.url
}

output "dead_queue_url" {
  description = "Where messages lie that nobody will work on."
  value       = aws_sqs_queue.dead.url
}

output "worker_role_arn" {
  description = "The chart's serviceAccount.annotations."
  value       = aws_iam_role.this["worker"].arn
}

output "keda_role_arn" {
  description = "For the service account of KEDA's operator."
  value       = aws_iam_role.this["keda"].arn
}
