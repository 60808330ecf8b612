//! A queue of Amazon SQS, or of a server that speaks its protocol.
//!
//! The queue's redrive policy moves messages to its dead-letter queue; [`Port::bury`] sends a message there with the reason,
//! and deletes it. Credentials and region come from AWS's own chain (see [`crate::aws`]).

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Credentials, Region};
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageAttributeValue, MessageSystemAttributeName as System, QueueAttributeName as Attribute,
    SendMessageBatchRequestEntry,
};

use super::{Dead, Depth, Message, Port, Receipt, VISIBILITY};
use crate::error::flattened;
use crate::{Error, Kind, aws};

/// The service's limit of messages in a batch.
const BATCH_MAX: usize = 10;
/// The service's limit of a long poll.
const WAIT_MAX: Duration = Duration::from_secs(20);
/// How long the service may take to answer, beyond the wait it was asked for. A request that hangs is repeated, several times
/// before a message in work becomes visible to others.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The longest visibility timeout that the service takes.
const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 3600);
/// The message attribute that says why a message is dead.
const REASON: &str = "clickcast-reason";
/// How long dead letters stay invisible while they are listed: longer than the listing takes.
const LOOK: Duration = Duration::from_secs(30);
/// How long to wait for dead letters: without a wait, the service asks only a few of its machines and may miss messages.
const LOOK_WAIT: Duration = Duration::from_secs(1);

pub(super) struct Sqs {
    client: Client,
    url: String,
    uri: String,
    visibility: Duration,
    /// The dead-letter queue, if there is one.
    dead_url: Option<String>,
}

impl Sqs {
    /// Opens `sqs://name`, or a queue by its URL.
    pub(super) async fn open(uri: &str, variables: &[(&str, &str)]) -> Result<Self, Error> {
        let client = client(uri, variables).await?;
        let url = match uri.strip_prefix("sqs://") {
            None => uri.to_owned(),
            Some(name) => url_of(&client, uri, name).await?,
        };
        let attributes =
            attributes(&client, uri, &url, &[Attribute::VisibilityTimeout, Attribute::RedrivePolicy]).await?;
        let visibility = attributes.get(&Attribute::VisibilityTimeout).and_then(|seconds| seconds.parse().ok());
        let dead = attributes.get(&Attribute::RedrivePolicy).and_then(|policy| dead_name(policy));
        let dead_url = match dead {
            Some(name) => Some(url_of(&client, uri, &name).await?),
            None => None,
        };
        let visibility = visibility.map_or(VISIBILITY, Duration::from_secs);
        Ok(Self { client, url, uri: uri.to_owned(), visibility, dead_url })
    }

    fn failed<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
        &self,
        operation: &'static str,
        error: SdkError<E>,
    ) -> Error {
        failed(operation, &self.uri, error)
    }

    /// Returns for each message of a batch whether the caller still held it.
    fn were_held(
        &self,
        operation: &'static str,
        count: usize,
        failed: &[BatchResultErrorEntry],
    ) -> Result<Vec<bool>, Error> {
        // An expired receipt is reported as the sender's fault.
        if let Some(failed) = failed.iter().find(|failed| !failed.sender_fault) {
            let problem = failed.message.clone().unwrap_or_else(|| failed.code.clone());
            return Err(Error::with(Kind::Unavailable, operation, &self.uri, problem));
        }
        Ok((0..count).map(|number| failed.iter().all(|failed| failed.id != number.to_string())).collect())
    }

    async fn receive_from(
        &self,
        url: &str,
        count_max: usize,
        wait: Duration,
        visibility: Option<Duration>,
    ) -> Result<Vec<aws_sdk_sqs::types::Message>, Error> {
        let wait = wait.min(WAIT_MAX);
        let received = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(count_max.clamp(1, BATCH_MAX) as i32)
            .wait_time_seconds(wait.as_secs() as i32)
            .set_visibility_timeout(visibility.map(seconds))
            .message_system_attribute_names(System::All)
            .message_attribute_names(REASON)
            .customize()
            .config_override(aws_sdk_sqs::config::Builder::new().timeout_config(answered_within(ANSWER_MAX + wait)))
            .send()
            .await
            .map_err(|error| self.failed("receive from", error))?;
        Ok(received.messages.unwrap_or_default())
    }
}

#[async_trait]
impl Port for Sqs {
    async fn send(&self, bodies: &[String]) -> Result<(), Error> {
        for bodies in bodies.chunks(BATCH_MAX) {
            let entries = bodies.iter().enumerate().map(|(number, body)| {
                let entry = SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body);
                entry.build().map_err(|error| Error::with(Kind::Invalid, "send to", &self.uri, error))
            });
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            let sent = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
            let sent = sent.map_err(|error| self.failed("send to", error))?;
            if let Some(failed) = sent.failed.first() {
                let kind = if failed.sender_fault { Kind::Invalid } else { Kind::Unavailable };
                let problem = failed.message.clone().unwrap_or_else(|| failed.code.clone());
                return Err(Error::with(kind, "send to", &self.uri, problem));
            }
        }
        Ok(())
    }

    async fn receive(&self, count_max: usize, wait: Duration, visibility: Duration) -> Result<Vec<Message>, Error> {
        let received = self.receive_from(&self.url, count_max, wait, Some(visibility)).await?;
        Ok(received.into_iter().filter_map(message).collect())
    }

    async fn extend(&self, receipts: &[Receipt], visible_in: Duration) -> Result<Vec<bool>, Error> {
        const OPERATION: &str = "extend messages of";
        let mut were_held = Vec::with_capacity(receipts.len());
        for receipts in receipts.chunks(BATCH_MAX) {
            let entries = receipts.iter().enumerate().map(|(number, receipt)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(number.to_string());
                let entry = entry.receipt_handle(&receipt.0).visibility_timeout(seconds(visible_in)).build();
                entry.map_err(|error| Error::with(Kind::Invalid, OPERATION, &self.uri, error))
            });
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            let change = self.client.change_message_visibility_batch().queue_url(&self.url).set_entries(Some(entries));
            let changed = change.send().await.map_err(|error| self.failed(OPERATION, error))?;
            were_held.extend(self.were_held(OPERATION, receipts.len(), &changed.failed)?);
        }
        Ok(were_held)
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<bool>, Error> {
        const OPERATION: &str = "acknowledge messages of";
        let mut were_held = Vec::with_capacity(receipts.len());
        for receipts in receipts.chunks(BATCH_MAX) {
            let entries = receipts.iter().enumerate().map(|(number, receipt)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(number.to_string()).receipt_handle(&receipt.0);
                entry.build().map_err(|error| Error::with(Kind::Invalid, OPERATION, &self.uri, error))
            });
            let entries = entries.collect::<Result<Vec<_>, _>>()?;
            let deleted =
                self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries)).send().await;
            let deleted = deleted.map_err(|error| self.failed(OPERATION, error))?;
            were_held.extend(self.were_held(OPERATION, receipts.len(), &deleted.failed)?);
        }
        Ok(were_held)
    }

    async fn bury(&self, message: &Message, reason: &str) -> Result<(), Error> {
        const OPERATION: &str = "bury a message of";
        let Some(dead_url) = &self.dead_url else {
            return Err(Error::with(Kind::Invalid, OPERATION, &self.uri, "the queue has none for dead letters"));
        };
        let reason = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
        let reason = reason.map_err(|error| Error::with(Kind::Invalid, OPERATION, &self.uri, error))?;
        let send = self.client.send_message().queue_url(dead_url).message_body(&message.body);
        let sent = send.message_attributes(REASON, reason).send().await;
        sent.map_err(|error| self.failed(OPERATION, error))?;
        match self.acknowledge(std::slice::from_ref(&message.receipt)).await?[..] {
            [true] => Ok(()),
            _ => Err(Error::conflict(OPERATION, &self.uri)),
        }
    }

    async fn depth(&self) -> Result<Depth, Error> {
        let wanted = [
            Attribute::ApproximateNumberOfMessages,
            Attribute::ApproximateNumberOfMessagesNotVisible,
            Attribute::ApproximateNumberOfMessagesDelayed,
        ];
        let found = attributes(&self.client, &self.uri, &self.url, &wanted).await?;
        let count = |attribute: &Attribute| found.get(attribute).and_then(|count| count.parse().ok()).unwrap_or(0);
        let dead = match &self.dead_url {
            Some(url) => {
                let dead = attributes(&self.client, &self.uri, url, &wanted[..1]).await?;
                dead.get(&wanted[0]).and_then(|count| count.parse().ok()).unwrap_or(0)
            }
            None => 0,
        };
        // The age of the oldest message is a metric of another service (CloudWatch).
        let (visible, in_flight, delayed) = (count(&wanted[0]), count(&wanted[1]), count(&wanted[2]));
        Ok(Depth { visible, in_flight, delayed, dead, oldest_age: None })
    }

    async fn dead(&self, count_max: usize) -> Result<Vec<Dead>, Error> {
        let Some(url) = &self.dead_url else { return Ok(Vec::new()) };
        let mut dead = Vec::new();
        while dead.len() < count_max {
            let found = self.receive_from(url, count_max - dead.len(), LOOK_WAIT, Some(LOOK)).await?;
            if found.is_empty() {
                break;
            }
            dead.extend(found.into_iter().map(|message| Dead {
                reason: message.message_attributes.as_ref().and_then(|all| all.get(REASON)?.string_value.clone()),
                receive_count: None,
                body: message.body.unwrap_or_default(),
            }));
        }
        Ok(dead)
    }

    async fn redrive(&self) -> Result<u64, Error> {
        // Message by message: the service's own redrive reports neither its end nor the number of messages.
        let Some(url) = &self.dead_url else { return Ok(0) };
        // Messages that die meanwhile are left for the next redrive, or this one might never end.
        let (mut count, there) = (0, self.depth().await?.dead);
        while count < there {
            let found = self.receive_from(url, BATCH_MAX, LOOK_WAIT, None).await?;
            if found.is_empty() {
                break;
            }
            for message in found {
                self.send(&[message.body.unwrap_or_default()]).await?;
                let delete = self.client.delete_message().queue_url(url);
                let deleted = delete.set_receipt_handle(message.receipt_handle).send().await;
                deleted.map_err(|error| self.failed("redrive", error))?;
                count += 1;
            }
        }
        Ok(count)
    }

    fn has_dead_letters(&self) -> bool {
        self.dead_url.is_some()
    }

    fn visibility(&self) -> Duration {
        self.visibility
    }
}

/// Returns a visibility timeout as the service takes it: whole seconds, up to its limit.
fn seconds(visibility: Duration) -> i32 {
    visibility.min(VISIBILITY_MAX).as_secs() as i32
}

/// Makes a client by AWS's chain, except for what the variables say.
async fn client(uri: &str, variables: &[(&str, &str)]) -> Result<Client, Error> {
    let variable = |name: &str| variables.iter().find(|(own, _)| *own == name).map(|(_, value)| (*value).to_owned());
    let chain = aws::chain().map_err(|error| Error::with(Kind::Invalid, "open", uri, flattened(&error)))?;
    let mut loader = chain.timeout_config(answered_within(ANSWER_MAX));
    if let Some(endpoint) = variable("AWS_ENDPOINT_URL") {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(region) = variable("AWS_REGION") {
        loader = loader.region(Region::new(region));
    }
    if let (Some(id), Some(secret)) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        loader = loader.credentials_provider(Credentials::new(id, secret, None, None, "given"));
    }
    Ok(Client::new(&loader.load().await))
}

/// Limits the wait for an answer: by default the client waits as long as the connection stands.
fn answered_within(answer_max: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(answer_max).build()
}

fn message(message: aws_sdk_sqs::types::Message) -> Option<Message> {
    let system = message.attributes.unwrap_or_default();
    let number = |name: &System| system.get(name).and_then(|text| text.parse::<u64>().ok());
    Some(Message {
        body: message.body?,
        receipt: Receipt(message.receipt_handle?),
        receive_count: number(&System::ApproximateReceiveCount).unwrap_or(1) as u32,
        sent_at: number(&System::SentTimestamp)
            .map(|sent_ms| -> SystemTime { UNIX_EPOCH + Duration::from_millis(sent_ms) }),
    })
}

async fn url_of(client: &Client, uri: &str, name: &str) -> Result<String, Error> {
    let found = client.get_queue_url().queue_name(name).send().await.map_err(|error| failed("open", uri, error))?;
    found.queue_url.ok_or_else(|| Error::with(Kind::NotFound, "open", uri, "the queue has no URL"))
}

async fn attributes(
    client: &Client,
    uri: &str,
    url: &str,
    wanted: &[Attribute],
) -> Result<HashMap<Attribute, String>, Error> {
    let get = client.get_queue_attributes().queue_url(url).set_attribute_names(Some(wanted.to_vec()));
    let found = get.send().await.map_err(|error| failed("look at", uri, error))?;
    Ok(found.attributes.unwrap_or_default())
}

/// Returns the name of the dead-letter queue in a redrive policy: `{"deadLetterTargetArn": "arn:aws:sqs:region:account:name", ...}`.
fn dead_name(policy: &str) -> Option<String> {
    let (_, arn) = policy.split_once("\"deadLetterTargetArn\"")?;
    let arn = arn.split('"').find(|part| part.starts_with("arn:"))?;
    arn.rsplit(':').next().map(str::to_owned)
}

/// Wraps a service's error, without the request: its headers hold credentials.
fn failed<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
    operation: &'static str,
    uri: &str,
    error: SdkError<E>,
) -> Error {
    let code = error.code().unwrap_or_default().to_owned();
    let kind = match (&error, code.as_str()) {
        (_, "AWS.SimpleQueueService.NonExistentQueue" | "QueueDoesNotExist") => Kind::NotFound,
        (_, "MessageNotInflight" | "ReceiptHandleIsInvalid") => Kind::Conflict,
        (_, "AccessDenied" | "AccessDeniedException" | "InvalidClientTokenId" | "SignatureDoesNotMatch") => {
            Kind::Denied
        }
        (_, "ThrottlingException" | "RequestThrottled" | "OverLimit") => Kind::Throttled,
        (SdkError::ConstructionFailure(_), _) => Kind::Denied,
        // Nobody said who asks: that doesn't pass by itself.
        (SdkError::DispatchFailure(_), _) if aws::lacks_credentials(&error) => {
            return Error::with(Kind::Denied, operation, uri, aws::NO_CREDENTIALS);
        }
        (SdkError::ServiceError(service), _) if service.raw().status().is_client_error() => Kind::Invalid,
        _ => Kind::Unavailable,
    };
    let problem = match error.message() {
        Some(message) => message.to_owned(),
        None => DisplayErrorContext(&error).to_string(),
    };
    Error::with(kind, operation, uri, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_letters_queue_is_named_by_the_policy() {
        let policy =
            r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:bookings-dead","maxReceiveCount":5}"#;
        assert_eq!(dead_name(policy).as_deref(), Some("bookings-dead"));
        assert_eq!(dead_name("{}"), None);
    }
}
