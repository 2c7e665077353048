//! `refactor`: database refactoring for PostgreSQL, as light as code refactoring.
//!
//! The library behind the command line, and a map of it. One direction; each stage has its own type and imports only
//! from those before it:
//!
//! ```text
//! text → Refactoring → Schema → Version → Plan → database
//! ```
//!
//! | stage | module | what it holds |
//! |---|---|---|
//! | words | [`name`], [`sql`] | names that quote themselves; expressions and types that a person wrote |
//! | Schema | [`schema`] | the model of a database, and reading it |
//! | | [`refusal`], [`fact`] | why a refactoring cannot be; what the data must satisfy |
//! | Version | [`relation`], [`version`] | what each table looks like after some refactorings, and where its values live |
//! | Refactoring | [`catalogue`] | the list of refactorings, one file each; the only place where relations change |
//! | text | [`journal`] | the files, their order, and how they compare with a database |
//! | | [`branches`] | whether the refactorings of two branches commute or clash |
//! | | [`generate`] | relations → views, put-back, complement, queries |
//! | Plan | [`plan`] | what will be done, as data that can be printed |
//! | database | [`db`] | connecting, the private server, running a plan |
//! | | [`problem`], [`ui`] | what goes wrong, in three parts; the only writer to the terminal |
//! | | [`cli`] | one verb a file |
//!
//! Everything up to the plan is pure: no connection, no file, no clock.
//!
//! Where to start: [`version::Version`] for the model, [`catalogue::Refactor`] for what a refactoring is,
//! [`db::session::Session`] for what happens to a database. `ARCHITECTURE.md` has the reasons.

pub mod branches;
pub mod catalogue;
pub mod cli;
pub mod db;
pub mod fact;
pub mod generate;
pub mod interrupt;
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
