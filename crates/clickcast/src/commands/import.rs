//! `clickcast import`: imports a model that another system trained.

use clickcast_operations::import::{Format, ImportRequest, import};

use super::Context;
use crate::arguments::{ImportArguments, ImportSource};
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, arguments: &ImportArguments) -> Result<(), Failure> {
    let format = match arguments.from {
        ImportSource::Lightgbm => Format::Lightgbm,
    };
    let request = ImportRequest {
        format,
        file: arguments.file.clone(),
        schema: arguments.schema.clone(),
        data: arguments.data.clone(),
        out: arguments.out.clone(),
    };
    console::result(&import(&context.resources, &request, &context.observer())?, context.json)
}
