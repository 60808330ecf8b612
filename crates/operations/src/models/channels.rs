//! Channels: pointing them to a version, and back.

use clickcast_registry::{Change, Channel, Moved, Name, Reference, Selector};
use jiff::Timestamp;
use serde::Serialize;

use crate::artifacts::open_registry;
use crate::{Error, Resources};

/// Which channel to point to which version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromoteRequest {
    /// The URI of the registry.
    pub registry: String,
    /// The model's name.
    pub name: Name,
    /// The version to point to.
    pub version: u64,
    /// The channel, such as `champion`.
    pub channel: Channel,
    /// The version that the channel must point to now; `None` accepts any.
    pub expect: Option<u64>,
    /// Promotes a version that did not pass the gate. It needs a reason.
    pub force: bool,
    /// Why; kept in the channel's history.
    pub reason: Option<String>,
    /// Who promotes; kept in the channel's history.
    pub by: String,
}

/// Which channel to point back to the version before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollBackRequest {
    /// The URI of the registry.
    pub registry: String,
    /// The model's name.
    pub name: Name,
    /// The channel.
    pub channel: Channel,
    /// Why; kept in the channel's history.
    pub reason: Option<String>,
    /// Who rolls back; kept in the channel's history.
    pub by: String,
}

/// Where a channel points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MoveReport {
    /// The model's name.
    pub name: Name,
    /// The channel.
    pub channel: Channel,
    /// The version that it points to now.
    pub version: u64,
    /// The version that it pointed to before; `None` the first time.
    pub previous: Option<u64>,
}

/// Points a channel to a version.
///
/// # Errors
/// [`Kind::Refused`](crate::Kind::Refused) if the version did not pass the gate and nothing is forced;
/// [`Kind::Invalid`](crate::Kind::Invalid) if there is no such version, the channel does not point to the expected one, or a
/// forced promotion has no reason.
pub fn promote(resources: &Resources, request: &PromoteRequest) -> Result<MoveReport, Error> {
    let PromoteRequest { registry, name, version, channel, expect, force, reason, by } = request;
    if *force && reason.is_none() {
        return Err(Error::invalid("a forced promotion needs a reason; say why with --reason TEXT"));
    }
    let registry = open_registry(registry)?;
    let change = change(by, reason.as_ref(), *force);
    let moved = resources.wait(registry.promote(name, *version, channel, *expect, change))?;
    Ok(report(name, channel, &moved))
}

/// Points a channel back to the version before.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if there is no version before, or it is gone from the registry. In the latter case
/// the channel has moved.
pub fn roll_back(resources: &Resources, request: &RollBackRequest) -> Result<MoveReport, Error> {
    let RollBackRequest { registry, name, channel, reason, by } = request;
    let registry = open_registry(registry)?;
    let moved = resources.wait(registry.roll_back(name, channel, change(by, reason.as_ref(), false)))?;
    // The channel has moved. The caller must learn if its new version is gone.
    let reference = Reference { name: name.clone(), selector: Selector::Version(moved.to) };
    resources.wait(registry.resolve(&reference))?;
    Ok(report(name, channel, &moved))
}

fn change(by: &str, reason: Option<&String>, forced: bool) -> Change {
    Change { by: by.to_owned(), at: Timestamp::now(), reason: reason.cloned(), forced, fence: None }
}

fn report(name: &Name, channel: &Channel, moved: &Moved<u64>) -> MoveReport {
    MoveReport { name: name.clone(), channel: channel.clone(), version: moved.to, previous: moved.from }
}
