//! Everything that talks to a server: connecting, the private server, what is installed, running a plan, rendering
//! server errors.

mod around;
pub mod connect;
pub mod copy;
pub mod crossing;
pub mod dependents;
pub mod dump;
pub mod embedded;
pub mod facts;
pub mod installed;
pub mod judge;
pub mod lock;
pub mod message;
pub mod rights;
pub mod run;
pub mod session;
pub mod trial;
