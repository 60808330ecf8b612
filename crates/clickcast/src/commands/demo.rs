//! placeholder
use super::Context;
use crate::arguments::DemoArguments;
use crate::failure::Failure;
pub(super) fn run(_: &Context, _: &DemoArguments) -> Result<(), Failure> {
    Ok(())
}
