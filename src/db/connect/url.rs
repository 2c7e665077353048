//! Writes a target down again, for people and for child processes.
//!
//! Decides what may be shown; knows nothing of how the settings were found.

use super::parameters::encode;
use super::{Target, VARIABLES};

/// Keywords that stand in a URL before its `?`, or must not stand in one.
const NOT_IN_QUERY: [&str; 7] = ["dbname", "host", "options", "password", "port", "service", "user"];

impl Target {
    /// Gives a URL for `psql` and its kin that sees the database through a search path.
    ///
    /// Never contains the password.
    #[must_use]
    pub fn url_with_options(&self, search_path: &str) -> String {
        self.url(Some(search_path), None)
    }

    /// Gives the variables through which a child process sees the same database.
    ///
    /// A password that was given explicitly is among them: pass them on, never print them.
    #[must_use]
    pub fn environment(&self, search_path: &str) -> Vec<(String, String)> {
        let mut variables = self.environment_alone();
        variables.retain(|(name, _)| name != "PGOPTIONS");
        variables.push(("PGOPTIONS".to_owned(), self.options(search_path)));
        let url = self.url(Some(search_path), self.value("password"));
        variables.push(("DATABASE_URL".to_owned(), url));
        variables
    }

    /// The variables through which a child process sees the same database as it is.
    #[must_use]
    pub fn environment_alone(&self) -> Vec<(String, String)> {
        let known = VARIABLES.iter().filter(|(name, _)| *name != "PGAPPNAME");
        known.filter_map(|(name, keyword)| Some(((*name).to_owned(), self.value(keyword)?.to_owned()))).collect()
    }

    /// The options of the session with a search path added.
    pub(super) fn options(&self, search_path: &str) -> String {
        let mut options = self.value("options").unwrap_or_default().to_owned();
        if !options.is_empty() {
            options.push(' ');
        }
        options.push_str("-c search_path=");
        for c in search_path.chars() {
            // The server splits options at white space that no backslash protects.
            if c == '\\' || c.is_whitespace() {
                options.push('\\');
            }
            options.push(c);
        }
        options
    }

    pub(super) fn url(&self, search_path: Option<&str>, password: Option<&str>) -> String {
        let mut url = format!("postgresql://{}", encode(self.user()));
        if let Some(password) = password {
            url.push(':');
            url.push_str(&encode(password));
        }
        url.push('@');
        let mut query = Vec::new();
        if self.places().any(|(host, _)| host.starts_with('/')) {
            // A directory cannot stand before a port in every client's URL.
            let (hosts, ports): (Vec<_>, Vec<_>) = self.places().unzip();
            query.push(format!("host={}", encode(&hosts.join(","))));
            query.push(format!("port={}", encode(&ports.join(","))));
        } else {
            let places: Vec<_> = self.places().map(|(host, port)| place(host, port)).collect();
            url.push_str(&places.join(","));
        }
        url.push('/');
        url.push_str(&encode(self.database()));
        for (keyword, value) in &self.parameters {
            if !NOT_IN_QUERY.contains(&keyword.as_str()) {
                query.push(format!("{keyword}={}", encode(value)));
            }
        }
        if let Some(search_path) = search_path {
            query.push(format!("options={}", encode(&self.options(search_path))));
        }
        if !query.is_empty() {
            url.push('?');
            url.push_str(&query.join("&"));
        }
        url
    }
}

/// Writes a host with its port, as in a URL.
pub(super) fn place(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
