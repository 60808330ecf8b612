//! Versions of models: registering, judging and promoting them.

mod backtest;
mod channels;
mod gate;
mod judging;
mod versions;

pub use backtest::{History, Recipe, backtest};
pub use channels::{MoveReport, PromoteRequest, RollBackRequest, promote, roll_back};
pub use gate::{GateReport, GateRequest, gate};
pub use judging::{Judged, JudgedRows, OpenedModel, Trial, judge_candidate};
pub use versions::{
    JudgementReport, LastJudgement, ListReport, ListRequest, ListedModel, ListedVersion, RegisterReport,
    RegisterRequest, ShowReport, ShowRequest, list, register, show,
};
