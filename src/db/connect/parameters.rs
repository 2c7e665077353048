//! Reads connection strings, URL or keyword/value, into libpq's keywords.
//!
//! Knows the two notations and the names of the keywords, not what any of them does.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::ConnectError;

/// Values by libpq keyword.
pub(super) type Parameters = BTreeMap<String, String>;

/// Keywords with a meaning here.
const KNOWN: [&str; 25] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "load_balance_hosts",
    "options",
    "passfile",
    "password",
    "port",
    "service",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
    "fallback_application_name",
];

/// Keywords of libpq that change nothing for this program.
const IGNORED: [&str; 10] = [
    "client_encoding",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "krbsrvname",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
    "sslcompression",
    "sslsni",
];

/// Everything but letters, digits and `-._~` is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes a part of a URL.
pub(super) fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Reads a connection string in either notation.
pub(super) fn parse(text: &str) -> Result<Parameters, ConnectError> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
        parse_url(rest)
    } else if let Some((scheme, _)) = text.split_once("://") {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        let why = if scheme.chars().all(plain) {
            format!("`{scheme}://` is not a PostgreSQL address")
        } else {
            "it is not a PostgreSQL address".to_owned()
        };
        Err(bad(why, "begin it with `postgresql://`"))
    } else {
        parse_pairs(text)
    }
}

/// A complaint about a connection string.
pub(super) fn bad(why: impl Into<String>, hint: &str) -> ConnectError {
    ConnectError::BadUrl { why: why.into(), hint: Some(hint.to_owned()) }
}

fn parse_url(rest: &str) -> Result<Parameters, ConnectError> {
    let mut parameters = Parameters::new();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, places) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (hosts, ports) = parse_places(places)?;
    for (keyword, value) in [("user", user), ("password", password), ("dbname", database)] {
        if !value.is_empty() {
            parameters.insert(keyword.to_owned(), decode(value)?);
        }
    }
    for (keyword, value) in [("host", hosts), ("port", ports)] {
        if !value.trim_matches(',').is_empty() {
            parameters.insert(keyword.to_owned(), value);
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (keyword, value) =
            pair.split_once('=').ok_or_else(|| bad("a parameter after `?` has no `=`", "write `?keyword=value`"))?;
        let (keyword, value) = (decode(keyword)?, decode(value)?);
        if keyword == "ssl" && value == "true" {
            insert(&mut parameters, "sslmode", "require".to_owned())?;
        } else {
            insert(&mut parameters, &keyword, value)?;
        }
    }
    Ok(parameters)
}

/// Splits `host:port,[::1]:port` into a list of hosts and a list of ports.
fn parse_places(places: &str) -> Result<(String, String), ConnectError> {
    let mut hosts = Vec::new();
    let mut ports = Vec::new();
    for place in places.split(',') {
        let (host, port) = if let Some(bracketed) = place.strip_prefix('[') {
            let (host, rest) = bracketed
                .split_once(']')
                .ok_or_else(|| bad("an address lacks its `]`", "write IPv6 as `[::1]:5432`"))?;
            (host, rest.strip_prefix(':').unwrap_or(rest))
        } else {
            place.split_once(':').unwrap_or((place, ""))
        };
        // The text is not quoted: in a badly encoded URL it may be half of a password.
        if !port.is_empty() && port.parse::<u16>().is_err() {
            return Err(bad(
                "its port is not a number up to 65535",
                "percent-encode `:` `/` `?` `#` `@` in the password, as in `%2F` for `/`",
            ));
        }
        hosts.push(decode(host)?);
        ports.push(port.to_owned());
    }
    Ok((hosts.join(","), ports.join(",")))
}

fn decode(text: &str) -> Result<String, ConnectError> {
    let broken = || bad("it has a `%` that encodes nothing", "write `%25` for a plain `%`");
    for (at, _) in text.match_indices('%') {
        let digits = text.get(at + 1..at + 3).ok_or_else(broken)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) || digits == "00" {
            return Err(broken());
        }
    }
    percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| broken())
}

/// Reads `keyword = 'value'` pairs, with backslash escapes.
fn parse_pairs(text: &str) -> Result<Parameters, ConnectError> {
    let hint = "write `postgresql://user@host:5432/database` or `host=... dbname=...`";
    let mut parameters = Parameters::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (keyword, after) =
            rest.split_once('=').ok_or_else(|| bad("it is neither a URL nor `keyword=value` pairs", hint))?;
        let mut characters = after.trim_start().char_indices();
        let after = after.trim_start();
        let quoted = after.starts_with('\'');
        if quoted {
            characters.next();
        }
        let mut value = String::new();
        let mut end = None;
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => value.extend(characters.next().map(|(_, c)| c)),
                '\'' if quoted => {
                    end = Some(at + 1);
                    break;
                }
                c if c.is_whitespace() && !quoted => {
                    end = Some(at);
                    break;
                }
                c => value.push(c),
            }
        }
        if quoted && end.is_none() {
            return Err(bad("a quoted value lacks its closing `'`", hint));
        }
        insert(&mut parameters, keyword.trim_end(), value)?;
        rest = after[end.unwrap_or(after.len())..].trim_start();
    }
    Ok(parameters)
}

/// Adds a value, or says that there is no such keyword.
pub(super) fn insert(parameters: &mut Parameters, keyword: &str, value: String) -> Result<(), ConnectError> {
    if KNOWN.contains(&keyword) {
        parameters.insert(keyword.to_owned(), value);
        Ok(())
    } else if IGNORED.contains(&keyword) {
        Ok(())
    } else if keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        Err(bad(
            format!("it has a parameter `{keyword}`, which is not supported"),
            &format!("remove `{keyword}` from it"),
        ))
    } else {
        Err(bad(
            "it has a parameter without a proper name",
            "percent-encode `?` `&` `=` in values, quote values with spaces",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &str) -> Result<String, String> {
        let parameters = parse(text).map_err(|error| error.why())?;
        let pairs: Vec<_> = parameters.iter().map(|(k, v)| format!("{k}={v}")).collect();
        Ok(pairs.join(" "))
    }

    #[test]
    fn both_notations_give_the_same_keywords() {
        let table = [
            ("postgres://", ""),
            ("postgresql:///shop", "dbname=shop"),
            ("postgresql://localhost", "host=localhost"),
            (
                "postgresql://ann:s%40crt@db.example:5433/shop?sslmode=verify-full&sslrootcert=/ca.pem",
                "dbname=shop host=db.example password=s@crt port=5433 sslmode=verify-full sslrootcert=/ca.pem user=ann",
            ),
            ("postgres://a@b@h/x", "dbname=x host=h user=a@b"),
            ("postgresql://%2Fvar%2Frun/shop", "dbname=shop host=/var/run"),
            ("postgresql://ann@/shop?host=%2Ftmp&options=-c%20x%3D1", "dbname=shop host=/tmp options=-c x=1 user=ann"),
            ("postgresql://[::1]:5433,two/shop", "dbname=shop host=::1,two port=5433,"),
            ("postgresql://h/x?ssl=true&gssencmode=disable", "dbname=x host=h sslmode=require"),
            (r"host = h dbname='a b' password=it\'s\\ user='o\'n'", r"dbname=a b host=h password=it's\ user=o'n"),
            ("", ""),
        ];
        for (text, wanted) in table {
            assert_eq!(flat(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn a_bad_string_is_refused_without_quoting_a_password() {
        let table = [
            ("mysql://h/x", "`mysql://` is not a PostgreSQL address"),
            ("shop", "it is neither a URL nor `keyword=value` pairs"),
            ("host='x", "a quoted value lacks its closing `'`"),
            ("postgres://ann:se/cret@h/x", "its port is not a number up to 65535"),
            ("postgres://h:99999/x", "its port is not a number up to 65535"),
            ("postgres://h/x%zz", "it has a `%` that encodes nothing"),
            ("postgres://h/x?schema=public", "it has a parameter `schema`, which is not supported"),
            ("host=h my secret=1", "it has a parameter without a proper name"),
        ];
        for (text, wanted) in table {
            assert_eq!(flat(text), Err(wanted.to_owned()), "{text}");
        }
    }
}
