//! What messages say: events as the clouds send them, and our own work items.
//!
//! Formats: Amazon S3's "Event message structure" (2.x), its copy in the envelope of an SNS notification, and EventBridge's
//! "Object Created". Any other message is refused with a reason.

use clickcast_dataset::Input;
use clickcast_registry::RunName;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Error;

/// Says that all of a folder's inputs are there, as Spark does.
pub const SUCCESS: &str = "_SUCCESS";

/// An object to be scored, or a range of its row groups; or the `_SUCCESS` of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The object's URI, such as `s3://bucket/in/dt=2026-11-24/part-7.parquet`.
    pub object: String,
    /// The URI of the folder or prefix of the run's inputs, where it is not the one that the object is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Only these row groups, first and last, of this very version of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// The run, where it is not named after the object's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunName>,
    /// Of a folder's end: how often its missing inputs were asked for again.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rounds: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Row groups of one version of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// First and last, counted from 0.
    pub row_groups: (u64, u64),
    /// The object's version.
    pub etag: String,
}

impl Task {
    /// The task of scoring a whole object, in the run that its folder names.
    #[must_use]
    pub fn new(object: impl Into<String>) -> Self {
        Self { object: object.into(), folder: None, range: None, run: None, rounds: 0 }
    }

    /// The message that says it.
    #[must_use]
    pub fn body(&self) -> String {
        serde_json::json!({"clickcast": self}).to_string()
    }

    /// The URI of the folder of the run's inputs, and the object's key there.
    #[must_use]
    pub fn folder_and_key(&self) -> (&str, &str) {
        let key_below = |folder: &str| self.object.strip_prefix(folder)?.strip_prefix('/');
        let named = self.folder.as_deref().map(|folder| folder.trim_end_matches('/'));
        if let Some((folder, key)) = named.and_then(|folder| Some((folder, key_below(folder)?))) {
            return (folder, key);
        }
        self.object.rsplit_once('/').unwrap_or((".", &self.object))
    }

    /// Whether it is the end of a folder, not an input.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.object.rsplit('/').next() == Some(SUCCESS)
    }

    /// The run: the one it names, or the inputs' folder. Of Hive folders in a row, all: the hours of two days have the same names.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::Kind::Refused) if the folder's name is no run's name.
    pub fn run(&self) -> Result<RunName, Error> {
        if let Some(run) = &self.run {
            return Ok(run.clone());
        }
        let (folder, _) = self.folder_and_key();
        let path = folder.split_once("://").map_or(folder, |(_, path)| path);
        let folders: Vec<&str> = path.split('/').filter(|folder| !folder.is_empty()).collect();
        let hive = folders.iter().rev().take_while(|folder| folder.contains('=')).count();
        let name = folders[folders.len() - hive.max(1).min(folders.len())..].join(".");
        name.parse().map_err(|error| {
            Error::refused(format!("`{}` lies in no folder that a run can be named after: {error}", self.object))
        })
    }
}

/// Returns what a message asks for: nothing if it is of no interest, such as a cloud's test of the connection.
///
/// # Errors
/// [`Kind::Refused`](crate::Kind::Refused) if it is no message of a known kind.
pub fn parse(body: &str) -> Result<Vec<Task>, Error> {
    parse_body(body).map_err(Error::refused)
}

fn parse_body(body: &str) -> Result<Vec<Task>, String> {
    let value: Value = serde_json::from_str(body).map_err(|error| format!("the message is no JSON: {error}"))?;
    match value.get("Type").and_then(Value::as_str) {
        Some("Notification") => {
            let inner = value["Message"].as_str().ok_or("the SNS notification has no `Message`")?;
            let inner = serde_json::from_str(inner);
            parse_event(&inner.map_err(|error| format!("the SNS notification's `Message` is no JSON: {error}"))?)
        }
        _ => parse_event(&value),
    }
}

fn parse_event(value: &Value) -> Result<Vec<Task>, String> {
    if let Some(own) = value.get("clickcast") {
        let task = Task::deserialize(own).map_err(|error| format!("the work item can't be understood: {error}"))?;
        return Ok(vec![task]);
    }
    if let Some(records) = value.get("Records").and_then(Value::as_array) {
        let tasks: Result<Vec<_>, String> = records.iter().map(record).collect();
        return Ok(tasks?.into_iter().flatten().collect());
    }
    if value.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    match (value.get("source").and_then(Value::as_str), value.get("detail-type").and_then(Value::as_str)) {
        (Some("aws.s3"), Some("Object Created")) => {
            let detail = &value["detail"];
            check_version(detail["event-version"].as_str())?;
            Ok(task(&detail["bucket"], &detail["object"], str::to_owned)?.into_iter().collect())
        }
        (Some("aws.s3"), Some(_)) => Ok(Vec::new()),
        _ => Err("the message is neither an event of an object store nor a work item".to_owned()),
    }
}

/// A record of an S3 event.
fn record(record: &Value) -> Result<Option<Task>, String> {
    if record["eventSource"].as_str() != Some("aws:s3") {
        return Err("the message's record is not of S3".to_owned());
    }
    check_version(record["eventVersion"].as_str())?;
    let name = record["eventName"].as_str().unwrap_or_default();
    if !name.trim_start_matches("s3:").starts_with("ObjectCreated:") {
        return Ok(None);
    }
    task(&record["s3"]["bucket"], &record["s3"]["object"], unescape)
}

fn check_version(version: Option<&str>) -> Result<(), String> {
    match version {
        Some(version) if version.split('.').next() != Some("2") => {
            Err(format!("the event is of version `{}`; this program reads 2.x", version.escape_debug()))
        }
        _ => Ok(()),
    }
}

/// Returns the task for an object, or `None` if files with such a name are not scored.
fn task(bucket: &Value, object: &Value, decode: impl Fn(&str) -> String) -> Result<Option<Task>, String> {
    let (Some(bucket), Some(key)) = (bucket["name"].as_str(), object["key"].as_str()) else {
        return Err("the event names no bucket or no key".to_owned());
    };
    let key = decode(key);
    let is_hidden = key.split('/').any(|name| name.starts_with(['_', '.']));
    let is_success = key.rsplit('/').next() == Some(SUCCESS);
    let is_wanted = is_success || (!is_hidden && Input::is_data(&key));
    Ok(is_wanted.then(|| Task::new(format!("s3://{bucket}/{key}"))))
}

/// Decodes a key of an S3 event: a form's encoding, in UTF-8. A `%` that begins no escape stands for itself.
fn unescape(key: &str) -> String {
    percent_decode_str(&key.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_cloud_s_way_of_telling_of_an_object_is_understood() {
        let event = include_str!("../tests/messages/s3-event.json");
        let moto_event = include_str!("../tests/messages/moto/s3-event.json");
        for (name, body) in [
            ("s3", event),
            ("sns", include_str!("../tests/messages/sns-envelope.json")),
            ("eventbridge", include_str!("../tests/messages/eventbridge-object-created.json")),
            ("moto s3", moto_event),
            ("moto sns", include_str!("../tests/messages/moto/sns-envelope.json")),
        ] {
            let tasks = parse(body).unwrap();
            assert_eq!(tasks.len(), 1, "{name}");
            let key = tasks[0].object.strip_prefix("s3://").and_then(|rest| rest.split_once('/')).unwrap().1;
            assert!(["in/part 1+ü.parquet", "in/part 1ü.parquet"].contains(&key), "{name}: {key}");
        }
        let mut both: Value = serde_json::from_str(event).unwrap();
        let first = both["Records"][0].clone();
        both["Records"].as_array_mut().unwrap().push(first);
        assert_eq!(parse(&both.to_string()).unwrap().len(), 2);
    }

    #[test]
    fn what_is_of_no_interest_asks_for_nothing() {
        let of_key = |key: &str| {
            let mut event: Value = serde_json::from_str(include_str!("../tests/messages/s3-event.json")).unwrap();
            event["Records"][0]["s3"]["object"]["key"] = key.into();
            event
        };
        let mut removed = of_key("in/a.parquet");
        removed["Records"][0]["eventName"] = "ObjectRemoved:Delete".into();
        for body in [
            include_str!("../tests/messages/s3-test-event.json").to_owned(),
            // moto takes the object for one that was tagged.
            include_str!("../tests/messages/moto/eventbridge-object-created.json").to_owned(),
            include_str!("../tests/messages/sns-test-event.json").to_owned(),
            of_key("in/_temporary/0/part.parquet").to_string(),
            of_key("in/.part.parquet.crc").to_string(),
            of_key("in/").to_string(),
            of_key("in/notes.txt").to_string(),
            removed.to_string(),
        ] {
            assert_eq!(parse(&body).unwrap(), [], "{body}");
        }
        let success = parse(&of_key("in/dt%3D1/_SUCCESS").to_string()).unwrap();
        assert!(success[0].is_success() && success[0].object == "s3://features/in/dt=1/_SUCCESS");
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for (body, part) in [
            ("", "no JSON"),
            ("hello", "no JSON"),
            ("{}", "neither"),
            ("[]", "neither"),
            (r#"{"Type":"Notification"}"#, "no `Message`"),
            (r#"{"Type":"Notification","Message":"x"}"#, "no JSON"),
            (r#"{"Records":[{}]}"#, "not of S3"),
            (r#"{"Records":[{"eventSource":"aws:s3","eventVersion":"3.0"}]}"#, "reads 2.x"),
            (r#"{"Records":[{"eventSource":"aws:s3","eventName":"ObjectCreated:Put"}]}"#, "no bucket"),
            (r#"{"clickcast":{"objekt":"a"}}"#, "work item"),
            (r#"{"clickcast":{"object":"a/b.csv","run":"../x"}}"#, "work item"),
        ] {
            let refused = parse(body).unwrap_err().to_string();
            assert!(refused.contains(part), "{body}: {refused}");
        }
    }

    #[test]
    fn a_work_item_is_read_as_it_was_written() {
        let range = Range { row_groups: (4, 7), etag: "abc".to_owned() };
        let task = Task { range: Some(range), run: Some("r".parse().unwrap()), ..Task::new("/d/a b+ü%20.parquet") };
        for task in [Task::new("s3://b/k.csv"), task] {
            assert_eq!(parse(&task.body()).unwrap(), [task]);
        }
    }

    #[test]
    fn a_run_is_named_after_the_folder_of_its_inputs() {
        for (object, run) in [
            ("s3://b/in/dt=2026-11-24/part-7.parquet", "dt=2026-11-24"),
            ("s3://b/in/dt=2026-11-24/hour=07/part-7.parquet", "dt=2026-11-24.hour=07"),
            ("/data/today/part.csv", "today"),
            ("s3://bucket/part.csv", "bucket"),
        ] {
            assert_eq!(Task::new(object).run().unwrap().as_str(), run, "{object}");
        }
        let deep = Task { folder: Some("in/today/".to_owned()), ..Task::new("in/today/deep/part.csv") };
        assert_eq!(deep.folder_and_key(), ("in/today", "deep/part.csv"));
        assert_eq!(deep.run().unwrap().as_str(), "today");
        assert!(Task::new("s3://b/a b/part.csv").run().unwrap_err().to_string().contains("no folder"));
        assert!(Task::new("part.csv").run().is_err());
    }

    #[test]
    fn broken_messages_are_refused_without_panic() {
        let body = include_str!("../tests/messages/sns-envelope.json");
        for cut in (0..body.len()).filter(|&cut| body.is_char_boundary(cut)) {
            let _ = parse(&body[..cut]);
        }
        for key in ["%", "%f", "%zz", "%ff%fe", "+%2B%C3", "100%25"] {
            let _ = unescape(key);
        }
        assert_eq!(unescape("100%25+%2B%C3%BC%2Fa%"), "100% +ü/a%");
    }
}
