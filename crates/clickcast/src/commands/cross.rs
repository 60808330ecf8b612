//! `clickcast cross`: scores every user with every ad.

use clickcast_operations::cross::{CrossRequest, Per, cross};

use super::{Context, model_location};
use crate::arguments::{CrossArguments, PerArgument};
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, arguments: &CrossArguments) -> Result<(), Failure> {
    let request = CrossRequest {
        model: model_location(&arguments.model, arguments.registry.as_deref()),
        users: arguments.users.clone(),
        ads: arguments.ads.clone(),
        context: arguments.context.clone(),
        pairs_table: arguments.pairs_table.clone(),
        out: arguments.out.clone(),
        top_k: arguments.top_k,
        per: arguments.per.map(|per| match per {
            PerArgument::User => Per::User,
            PerArgument::Ad => Per::Ad,
        }),
        threshold: arguments.threshold,
        precision: arguments.precision,
        id: arguments.id.clone(),
    };
    let report = cross(&context.resources, &request, &context.observer())?;
    console::result(&report, context.json)
}
