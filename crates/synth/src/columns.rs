//! The columns of the impressions: their Arrow schema, their `features.toml`, and the builders of their batches.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int8Array, Int32Array, Int64Array, ListArray, StringArray,
    TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

use super::random::{Field as Topic, Shuffle, hash};
use super::world::{
    Ad, CARRIERS_PER_COUNTRY, CATEGORIES, CONNECTIONS, COUNTRIES, Context, DEVICES, FORMATS, INTERESTS,
    PLACEMENTS_PER_PUBLISHER, PUBLISHERS, SYSTEMS, User, World,
};

/// A column: its name, its type, its kind of feature (empty if it is not a feature) and whether values may be missing.
type Column = (&'static str, Data, &'static str, bool);

#[derive(Clone, Copy)]
enum Data {
    Int8,
    Int32,
    Int64,
    Float64,
    Timestamp,
    Text,
    Texts,
}

const KEY: [Column; 2] = [("impression_id", Data::Int64, "", false), ("ts", Data::Timestamp, "", false)];

const USER: [Column; 9] = [
    ("user_id", Data::Int64, "categorical", false),
    ("age", Data::Int32, "numeric", true),
    ("country", Data::Text, "categorical", false),
    ("device_model", Data::Text, "categorical", false),
    ("os", Data::Text, "categorical", false),
    ("carrier", Data::Text, "categorical", true),
    ("interests", Data::Texts, "multi", true),
    ("sessions_7d", Data::Int32, "numeric", false),
    ("days_since_install", Data::Int32, "numeric", true),
];

const AD: [Column; 7] = [
    ("ad_id", Data::Text, "categorical", false),
    ("campaign", Data::Text, "categorical", false),
    ("advertiser", Data::Text, "categorical", false),
    ("app_id", Data::Text, "categorical", false),
    ("category", Data::Text, "categorical", false),
    ("format", Data::Text, "categorical", false),
    ("bid", Data::Float64, "numeric", true),
];

const CONTEXT: [Column; 7] = [
    ("creative_age_days", Data::Int32, "numeric", false),
    ("hour", Data::Int8, "categorical", false),
    ("weekend", Data::Int8, "categorical", false),
    ("publisher", Data::Text, "categorical", false),
    ("placement", Data::Text, "categorical", false),
    ("connection", Data::Text, "categorical", true),
    ("position", Data::Int8, "numeric", false),
];

const ANSWER: [Column; 2] = [("click", Data::Int8, "", false), ("true_ctr", Data::Float64, "", false)];

/// The schema of the impressions.
pub(super) fn impressions_schema() -> SchemaRef {
    schema(&[&KEY, &USER, &AD, &CONTEXT, &ANSWER])
}

/// The schema of the users' table.
pub(super) fn users_schema() -> SchemaRef {
    schema(&[&USER])
}

/// The schema of the ads' table.
pub(super) fn ads_schema() -> SchemaRef {
    schema(&[&AD])
}

/// Returns the `features.toml` of the impressions. `true_ctr` is not a feature of it.
#[must_use]
pub fn features_toml() -> String {
    let mut text =
        String::from("label = \"click\"\ntime  = \"ts\"\nid    = [\"impression_id\", \"user_id\", \"ad_id\"]\n");
    for (side, columns) in [("user", &USER[..]), ("ad", &AD[..]), ("context", &CONTEXT[..])] {
        for (name, _, kind, _) in columns {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n[[feature]]\nname = \"{name}\"\nkind = \"{kind}\"\nside = \"{side}\"\n");
        }
    }
    text
}

fn schema(groups: &[&[Column]]) -> SchemaRef {
    let field = |&(name, data, _, nullable): &Column| {
        let data_type = match data {
            Data::Int8 => DataType::Int8,
            Data::Int32 => DataType::Int32,
            Data::Int64 => DataType::Int64,
            Data::Float64 => DataType::Float64,
            Data::Timestamp => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Data::Text => text_type(),
            Data::Texts => DataType::List(item()),
        };
        Field::new(name, data_type, nullable)
    };
    Arc::new(Schema::new(groups.iter().flat_map(|columns| columns.iter()).map(field).collect::<Vec<_>>()))
}

/// The elements of a list of texts.
fn item() -> FieldRef {
    Arc::new(Field::new("item", text_type(), false))
}

/// Texts are codes into a dictionary, so that each text is written once.
fn text_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// The values of the text columns. Batches share them and hold codes.
pub(super) struct Texts {
    country: ArrayRef,
    device: ArrayRef,
    system: ArrayRef,
    carrier: ArrayRef,
    interest: ArrayRef,
    ad: ArrayRef,
    campaign: ArrayRef,
    advertiser: ArrayRef,
    app: ArrayRef,
    category: ArrayRef,
    format: ArrayRef,
    publisher: ArrayRef,
    placement: ArrayRef,
    connection: ArrayRef,
}

impl Texts {
    pub(super) fn new(world: &World) -> Self {
        let named = |names: &[&str]| Arc::new(StringArray::from_iter_values(names)) as ArrayRef;
        let numbered = |count: u64, name: &dyn Fn(u64) -> String| {
            Arc::new(StringArray::from_iter_values((0..count).map(name))) as ArrayRef
        };
        let ad_order = Shuffle::new(world.ads, hash(world.seed, Topic::AdOrder, 0));
        let carrier = |index: u64| {
            let country = COUNTRIES[(index / CARRIERS_PER_COUNTRY) as usize];
            format!("{country}-carrier-{}", index % CARRIERS_PER_COUNTRY + 1)
        };
        let placement = |index: u64| {
            format!("pub-{:04}/slot-{}", index / PLACEMENTS_PER_PUBLISHER, index % PLACEMENTS_PER_PUBLISHER + 1)
        };
        Self {
            country: named(&COUNTRIES),
            device: numbered(DEVICES, &|index| format!("model-{index:04}")),
            system: named(&SYSTEMS),
            carrier: numbered(COUNTRIES.len() as u64 * CARRIERS_PER_COUNTRY, &carrier),
            interest: numbered(INTERESTS, &|index| format!("topic-{index:03}")),
            ad: numbered(world.ads, &|index| format!("ad-{:06}", ad_order.apply(index))),
            campaign: numbered(world.campaigns, &|index| format!("campaign-{index:05}")),
            advertiser: numbered(world.advertisers, &|index| format!("advertiser-{index:04}")),
            app: numbered(world.advertisers * 2, &|index| format!("app-{index:05}")),
            category: named(&CATEGORIES),
            format: named(&FORMATS),
            publisher: numbered(PUBLISHERS, &|index| format!("pub-{index:04}")),
            placement: numbered(PUBLISHERS * PLACEMENTS_PER_PUBLISHER, &placement),
            connection: named(&CONNECTIONS),
        }
    }
}

/// Columns of users, in the order of [`users_schema`].
pub(super) fn user_columns(users: &[User], texts: &Texts) -> Vec<ArrayRef> {
    vec![
        Arc::new(Int64Array::from_iter_values(users.iter().map(|user| user.id))),
        Arc::new(users.iter().map(|user| user.age).collect::<Int32Array>()),
        codes(users.iter().map(|user| user.country), &texts.country),
        codes(users.iter().map(|user| user.device), &texts.device),
        codes(users.iter().map(|user| user.system), &texts.system),
        optional_codes(users.iter().map(|user| user.carrier), &texts.carrier),
        interests(users, &texts.interest),
        Arc::new(Int32Array::from_iter_values(users.iter().map(|user| user.sessions))),
        Arc::new(users.iter().map(|user| user.days_since_install).collect::<Int32Array>()),
    ]
}

/// Columns of ads, in the order of [`ads_schema`].
pub(super) fn ad_columns(ads: &[Ad], texts: &Texts) -> Vec<ArrayRef> {
    vec![
        codes(ads.iter().map(|ad| ad.index), &texts.ad),
        codes(ads.iter().map(|ad| ad.campaign), &texts.campaign),
        codes(ads.iter().map(|ad| ad.advertiser), &texts.advertiser),
        codes(ads.iter().map(|ad| ad.app), &texts.app),
        codes(ads.iter().map(|ad| ad.category), &texts.category),
        codes(ads.iter().map(|ad| ad.format), &texts.format),
        Arc::new(ads.iter().map(|ad| ad.bid).collect::<Float64Array>()),
    ]
}

/// Columns of circumstances.
pub(super) fn context_columns(contexts: &[Context], texts: &Texts) -> Vec<ArrayRef> {
    vec![
        Arc::new(Int32Array::from_iter_values(contexts.iter().map(|context| context.creative_age_days))),
        Arc::new(Int8Array::from_iter_values(contexts.iter().map(|context| context.moment.hour as i8))),
        Arc::new(Int8Array::from_iter_values(contexts.iter().map(|context| i8::from(context.moment.weekend)))),
        codes(contexts.iter().map(|context| context.publisher), &texts.publisher),
        codes(contexts.iter().map(|context| context.placement), &texts.placement),
        optional_codes(contexts.iter().map(|context| context.connection), &texts.connection),
        Arc::new(Int8Array::from_iter_values(contexts.iter().map(|context| context.position))),
    ]
}

/// Rows' numbers and times.
pub(super) fn key_columns(first_row: u64, contexts: &[Context]) -> Vec<ArrayRef> {
    let times = contexts.iter().map(|context| context.moment.timestamp_ms);
    vec![
        Arc::new(Int64Array::from_iter_values((first_row as i64..).take(contexts.len()))),
        Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC")),
    ]
}

fn codes(values: impl Iterator<Item = i32>, texts: &ArrayRef) -> ArrayRef {
    dictionary(Int32Array::from_iter_values(values), texts)
}

fn optional_codes(values: impl Iterator<Item = Option<i32>>, texts: &ArrayRef) -> ArrayRef {
    dictionary(values.collect(), texts)
}

fn dictionary(codes: Int32Array, texts: &ArrayRef) -> ArrayRef {
    Arc::new(DictionaryArray::<Int32Type>::new(codes, Arc::clone(texts)))
}

fn interests(users: &[User], texts: &ArrayRef) -> ArrayRef {
    let mut lists = ListBuilder::with_capacity(Int32Builder::with_capacity(users.len() * 3), users.len());
    for user in users {
        let codes = user.interests.as_ref().map(|interests| interests.codes());
        for &code in codes.unwrap_or_default() {
            lists.values().append_value(i32::from(code));
        }
        lists.append(codes.is_some());
    }
    let (_, offsets, codes, missing) = lists.finish().into_parts();
    let codes = Int32Array::from(codes.to_data());
    Arc::new(ListArray::new(item(), offsets, dictionary(codes, texts), missing))
}
