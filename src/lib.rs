//! `refactor`: database refactoring for PostgreSQL.
pub mod catalogue;
pub mod cli;
pub mod db;
pub mod fact;
pub mod generate;
pub mod journal;
pub mod name;
pub mod plan;
pub mod problem;
pub mod refusal;
pub mod relation;
pub mod schema;
pub mod sql;
pub mod ui;
pub mod version;
