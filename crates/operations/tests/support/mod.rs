//! A folder with a small market, and what reports look like without their values.
#![allow(clippy::unwrap_used, missing_docs, dead_code)]

use std::fmt::Write as _;
use std::path::PathBuf;

use clickcast_operations::Resources;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A folder of its own, and the threads to work in it.
pub(crate) struct World {
    folder: TempDir,
    _runtime: Runtime,
    pub(crate) resources: Resources,
}

impl World {
    /// An empty folder.
    pub(crate) fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let resources = Resources::new(runtime.handle().clone(), 2.try_into().unwrap()).unwrap();
        Self { folder: TempDir::new().unwrap(), _runtime: runtime, resources }
    }

    /// Two days of impressions in `days/dt=.../`, and `features.toml`.
    pub(crate) fn with_market() -> Self {
        let world = Self::new();
        for day in ["2026-01-05", "2026-01-06"] {
            world.write(&format!("days/dt={day}/part-0.csv"), &impressions(2_000));
        }
        world.write("features.toml", SCHEMA);
        world
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = PathBuf::from(self.path(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

const SCHEMA: &str = r#"
label = "click"
id = ["user_id"]

[[feature]]
name = "age"
kind = "numeric"
side = "user"

[[feature]]
name = "format"
kind = "categorical"
side = "ad"
"#;

/// Rows of which the younger users click more, and banners more than videos.
fn impressions(rows: u64) -> String {
    let mut text = String::from("user_id,age,format,click\n");
    for row in 0..rows {
        let (age, is_banner) = (18 + row * 7 % 50, row % 3 == 0);
        let is_clicked = row * 31 % 100 < if is_banner { 60 - age / 2 } else { 20 };
        let format = if is_banner { "banner" } else { "video" };
        writeln!(text, "user-{row},{age},{format},{}", u8::from(is_clicked)).unwrap();
    }
    text
}

/// A report's keys in order, each with the type of its value: what scripts rely on.
pub(crate) fn shape(report: &impl Serialize) -> String {
    let mut text = String::new();
    describe(&serde_json::to_value(report).unwrap(), "", &mut text);
    text.trim_end().to_owned()
}

fn describe(value: &Value, key: &str, text: &mut String) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            describe(value, &below, text);
        }),
        Value::Array(items) => match items.first() {
            Some(first) => describe(first, &format!("{key}[]"), text),
            None => writeln!(text, "{key}: empty list").unwrap(),
        },
        Value::Null => writeln!(text, "{key}: null").unwrap(),
        Value::Bool(_) => writeln!(text, "{key}: boolean").unwrap(),
        Value::String(_) => writeln!(text, "{key}: string").unwrap(),
        Value::Number(number) if number.is_f64() => writeln!(text, "{key}: number").unwrap(),
        Value::Number(_) => writeln!(text, "{key}: integer").unwrap(),
    }
}
