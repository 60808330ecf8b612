//! `clickcast synth`: generates impressions whose true CTR is known.

use clickcast_operations::synthesize::{SynthesizeRequest, synthesize};
use clickcast_synth::Settings;

use super::Context;
use crate::arguments::SynthArguments;
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, arguments: &SynthArguments) -> Result<(), Failure> {
    let defaults = Settings::for_rows(arguments.rows);
    let settings = Settings {
        users: arguments.users.unwrap_or(defaults.users),
        ads: arguments.ads.unwrap_or(defaults.ads),
        days: arguments.days,
        seed: arguments.seed,
        ..defaults
    };
    let request = SynthesizeRequest {
        settings,
        out: arguments.out.clone(),
        users_out: arguments.users_out.clone(),
        ads_out: arguments.ads_out.clone(),
        schema: arguments.schema.clone(),
    };
    let report = synthesize(&context.resources, &request, &context.observer())?;
    console::result(&report, context.json)
}
