//! Finds and opens the database that is meant, by the rules PostgreSQL's own clients follow.
//!
//! Reads the connection string, the `PG*` variables and the password file. Must not know
//! what the connection is used for.

mod error;
mod files;
mod parameters;
mod tls;
mod url;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Uid, User};
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};

pub use error::ConnectError;
use files::Login;
use parameters::{Parameters, bad};
use tls::SslMode;
use url::place;

/// The variables that fill what a connection string leaves open.
const VARIABLES: [(&str, &str); 18] = [
    ("PGAPPNAME", "application_name"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGDATABASE", "dbname"),
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
    ("PGOPTIONS", "options"),
    ("PGPASSFILE", "passfile"),
    ("PGPASSWORD", "password"),
    ("PGPORT", "port"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGUSER", "user"),
];

/// Keywords the driver does not know or does not get as they are.
const OURS: [&str; 7] =
    ["fallback_application_name", "passfile", "port", "sslcert", "sslkey", "sslmode", "sslrootcert"];

/// How long a server may take to answer, unless something else is said.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A way to read an environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A database on a server, and who connects to it.
#[derive(Clone)]
pub struct Target {
    parameters: Parameters,
    home: Option<PathBuf>,
    /// Found in the password file, so never passed on.
    file_password: Option<String>,
    warning: Option<String>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({})", self.describe())
    }
}

impl Target {
    /// Resolves a connection string, else `DATABASE_URL`, else the `PG*` variables alone.
    ///
    /// What the string leaves open is filled from the `PG*` variables, then from libpq's
    /// defaults.
    ///
    /// # Errors
    /// [`ConnectError::BadUrl`] when the settings do not make sense; no server is asked.
    pub fn resolve(url: Option<&str>) -> Result<Self, ConnectError> {
        Self::resolve_in(url, &|name| env::var(name).ok())
    }

    /// The same in another environment.
    ///
    /// # Errors
    /// As above.
    pub fn resolve_in(url: Option<&str>, environment: Environment) -> Result<Self, ConnectError> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let url = url.map(str::to_owned).or_else(|| variable("DATABASE_URL"));
        let mut parameters = parameters::parse(url.as_deref().unwrap_or_default())?;
        let home = variable("HOME").map(PathBuf::from);
        let service = parameters.remove("service");
        if let Some(service) = service.or_else(|| variable("PGSERVICE")) {
            let file = variable("PGSERVICEFILE").map(PathBuf::from);
            add_service(&mut parameters, &service, file, home.as_deref())?;
        }
        for (name, keyword) in VARIABLES {
            if let Some(value) = variable(name) {
                parameters.entry(keyword.to_owned()).or_insert(value);
            }
        }
        parameters.retain(|_, value| !value.is_empty());
        add_defaults(&mut parameters);
        let mut target = Self { parameters, home, file_password: None, warning: None };
        target.ssl_mode()?;
        target.config()?;
        target.look_up_password();
        Ok(target)
    }

    /// Names the database.
    #[must_use]
    pub fn database(&self) -> &str {
        self.value("dbname").unwrap_or_default()
    }

    /// Names the user who connects.
    #[must_use]
    pub fn user(&self) -> &str {
        self.value("user").unwrap_or_default()
    }

    /// Says why the password file was not used, when it was not.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Means another database of the same server.
    #[must_use]
    pub fn with_database(&self, name: &str) -> Self {
        let mut other = self.clone();
        other.parameters.insert("dbname".into(), name.to_owned());
        other.look_up_password();
        other
    }

    /// Sees the same database through a search path.
    #[must_use]
    pub fn with_search_path(&self, search_path: &str) -> Self {
        let mut other = self.clone();
        other.parameters.insert("options".into(), self.options(search_path));
        other
    }

    /// Describes the target without its password.
    ///
    /// For example: `database "shop" on localhost:5432 as "ann"`.
    #[must_use]
    pub fn describe(&self) -> String {
        let places: Vec<_> = self.places().map(|(host, port)| place(host, port)).collect();
        format!("database \"{}\" on {} as \"{}\"", self.database(), places.join(", "), self.user())
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// A [`ConnectError`] that says what to do.
    pub fn connect(&self) -> Result<Client, ConnectError> {
        let plain = |config: &mut Config| {
            config.ssl_mode(postgres::config::SslMode::Disable);
            self.in_time(config, |config| config.connect(NoTls))
        };
        let mut config = self.config()?;
        let sockets_only = self.places().all(|(host, _)| host.starts_with('/'));
        let mode = match self.ssl_mode()? {
            _ if sockets_only => SslMode::Disable,
            mode => mode,
        };
        let first = match mode {
            SslMode::Disable => return plain(&mut config)?.map_err(|e| self.explain(&e)),
            SslMode::Allow => plain(&mut config)?,
            mode => self.connect_encrypted(&mut config, mode)?,
        };
        // `allow` and `prefer` try both ways; the first refusal is the one worth telling.
        match first {
            Err(error) if mode == SslMode::Allow && is_turned_away(&error) => {
                self.connect_encrypted(&mut config, SslMode::Require)?.map_err(|_| self.explain(&error))
            }
            Err(error) if mode == SslMode::Prefer && is_turned_away(&error) => {
                plain(&mut config)?.map_err(|_| self.explain(&error))
            }
            first => first.map_err(|error| self.explain(&error)),
        }
    }

    fn value(&self, keyword: &str) -> Option<&str> {
        self.parameters.get(keyword).map(String::as_str)
    }

    /// Lists hosts with their ports; a single port stands for all.
    fn places(&self) -> impl Iterator<Item = (&str, &str)> {
        let hosts = self.value("host").unwrap_or("localhost").split(',');
        let ports: Vec<_> = self.value("port").unwrap_or_default().split(',').collect();
        hosts.enumerate().map(move |(at, host)| {
            let port = if ports.len() == 1 { 0 } else { at };
            let port = ports.get(port).copied().unwrap_or_default();
            (host, if port.is_empty() { "5432" } else { port })
        })
    }

    fn ssl_mode(&self) -> Result<SslMode, ConnectError> {
        match self.value("sslmode") {
            None if self.value("sslrootcert") == Some("system") => Ok(SslMode::VerifyFull),
            None => Ok(SslMode::Prefer),
            Some(text) => text.parse().map_err(|()| {
                bad(
                    format!("there is no sslmode `{text}`"),
                    "use disable, allow, prefer, require, verify-ca or verify-full",
                )
            }),
        }
    }

    /// Tries with encryption; the outer error is one of our certificate files.
    fn connect_encrypted(
        &self,
        config: &mut Config,
        mode: SslMode,
    ) -> Result<Result<Client, postgres::Error>, ConnectError> {
        let default_roots =
            self.home.as_ref().map(|home| home.join(".postgresql/root.crt")).filter(|path| path.exists());
        let files = tls::Files {
            roots: self.value("sslrootcert").or_else(|| default_roots.as_deref().and_then(Path::to_str)),
            client: self.value("sslcert").zip(self.value("sslkey")),
        };
        let tls = tls::connector(mode, &files).map_err(|why| ConnectError::Tls { server: self.describe(), why })?;
        config.ssl_mode(if mode == SslMode::Prefer {
            postgres::config::SslMode::Prefer
        } else {
            postgres::config::SslMode::Require
        });
        self.in_time(config, |config| config.connect(tls))
    }

    /// Waits no longer than was said: the driver itself limits the way to the server, not what this takes to answer.
    fn in_time(
        &self,
        config: &Config,
        connect: impl FnOnce(&Config) -> Result<Client, postgres::Error> + Send + 'static,
    ) -> Result<Result<Client, postgres::Error>, ConnectError> {
        let limit = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        let limit = limit * u32::try_from(self.places().count()).unwrap_or(1);
        let (config, (answer, answered)) = (config.clone(), std::sync::mpsc::channel());
        std::thread::spawn(move || {
            // Nobody may listen any more.
            let _ = answer.send(connect(&config));
        });
        answered.recv_timeout(limit).map_err(|_| ConnectError::Unreachable {
            server: self.describe(),
            why: format!("nobody answered within {} s", limit.as_secs()),
        })
    }

    fn explain(&self, error: &postgres::Error) -> ConnectError {
        ConnectError::from_driver(error, self.describe(), self.database())
    }

    /// Translates to the driver's own settings, all but encryption.
    fn config(&self) -> Result<Config, ConnectError> {
        let mut pairs = Vec::new();
        for (keyword, value) in &self.parameters {
            let keyword = match keyword.as_str() {
                keyword if OURS.contains(&keyword) => continue,
                "keepalives_count" => "keepalives_retries",
                keyword => keyword,
            };
            let value = value.replace('\\', r"\\").replace('\'', r"\'");
            pairs.push(format!("{keyword}='{value}'"));
        }
        let ports: Vec<_> = self.places().map(|(_, port)| port).collect();
        pairs.push(format!("port='{}'", ports.join(",")));
        let mut config: Config = pairs.join(" ").parse().map_err(|error: postgres::Error| {
            let why = std::error::Error::source(&error).map(ToString::to_string);
            ConnectError::BadUrl { why: why.unwrap_or_else(|| error.to_string()), hint: None }
        })?;
        if config.get_application_name().is_none() {
            let fallback = self.value("fallback_application_name");
            config.application_name(fallback.unwrap_or("refactor"));
        }
        if let Some(password) = &self.file_password {
            config.password(password);
        }
        // Should the server fall silent while we wait for it, that is noticed within minutes, not hours.
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if self.value("keepalives_idle").is_none() {
            config.keepalives_idle(Duration::from_secs(30));
            config.keepalives_interval(Duration::from_secs(10)).keepalives_retries(6);
        }
        if self.value("tcp_user_timeout").is_none() {
            config.tcp_user_timeout(Duration::from_mins(2));
        }
        Ok(config)
    }

    /// Looks in the password file unless a password was given.
    fn look_up_password(&mut self) {
        (self.file_password, self.warning) = (None, None);
        let path = match (self.value("passfile"), &self.home) {
            _ if self.parameters.contains_key("password") => return,
            (Some(path), _) => PathBuf::from(path),
            (None, Some(home)) => home.join(".pgpass"),
            (None, None) => return,
        };
        match files::read_passwords(&path) {
            Err(warning) => self.warning = Some(warning),
            Ok(file) => {
                let found = self.places().find_map(|(host, port)| {
                    let login = Login { host, port, database: self.database(), user: self.user() };
                    files::find_password(&file, &login)
                });
                self.file_password = found;
            }
        }
    }
}

/// Whether libpq would try again the other way, with or without encryption.
fn is_turned_away(error: &postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
        || error.to_string().starts_with("error performing TLS")
}

fn add_service(
    parameters: &mut Parameters,
    service: &str,
    file: Option<PathBuf>,
    home: Option<&Path>,
) -> Result<(), ConnectError> {
    let path = file.or_else(|| home.map(|home| home.join(".pg_service.conf")));
    let pairs =
        path.and_then(|path| fs::read_to_string(path).ok()).and_then(|text| files::find_service(&text, service));
    let pairs = pairs.ok_or_else(|| {
        bad(format!("there is no service `{service}`"), "describe it in ~/.pg_service.conf, or unset PGSERVICE")
    })?;
    for (keyword, value) in pairs {
        if !parameters.contains_key(&keyword) {
            parameters::insert(parameters, &keyword, value)?;
        }
    }
    Ok(())
}

/// Fills what is still open as libpq does.
fn add_defaults(parameters: &mut Parameters) {
    let mut fill = |keyword: &str, value: &dyn Fn(&Parameters) -> String| {
        if !parameters.contains_key(keyword) {
            let value = value(parameters);
            parameters.insert(keyword.to_owned(), value);
        }
    };
    fill("port", &|_| "5432".to_owned());
    fill("user", &|_| {
        let user = User::from_uid(Uid::effective()).ok().flatten();
        user.map_or_else(|| "postgres".to_owned(), |user| user.name)
    });
    fill("dbname", &|known| known["user"].clone());
    fill("host", &|known| match known.get("hostaddr") {
        Some(address) => address.clone(),
        None => ["/var/run/postgresql", "/tmp"]
            .into_iter()
            .find(|directory| {
                let socket = format!("{directory}/.s.PGSQL.{}", known["port"]);
                Path::new(&socket).exists()
            })
            .unwrap_or("localhost")
            .to_owned(),
    });
}

#[cfg(test)]
mod tests;
