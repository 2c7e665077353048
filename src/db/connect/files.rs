//! Reads the two files libpq reads: the password file and the service file.
//!
//! Knows their format only; which file and which entry is wanted comes from the caller.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What a password is looked up by.
pub(super) struct Login<'a> {
    pub(super) host: &'a str,
    pub(super) port: &'a str,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

/// Reads a password file, or says why it is ignored; a missing one is empty.
pub(super) fn read_passwords(path: &Path) -> Result<String, String> {
    let Ok(metadata) = fs::metadata(path) else {
        return Ok(String::new());
    };
    if !metadata.is_file() {
        return Err(format!("password file `{}` is ignored: it is not a plain file", path.display()));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(format!("password file `{0}` is ignored: others may read it; run `chmod 600 {0}`", path.display()));
    }
    fs::read_to_string(path).map_err(|error| format!("password file `{}` is ignored: {error}", path.display()))
}

/// Finds the first line that fits the login.
pub(super) fn find_password(file: &str, login: &Login) -> Option<String> {
    file.lines().find_map(|line| {
        if line.starts_with('#') {
            return None;
        }
        let fields = split_line(line.trim_end_matches('\r'));
        let [host, port, database, user, password] = fields.as_slice() else {
            return None;
        };
        let fits = |field: &Field, value: &str| field.any || field.text == value;
        let host_fits = fits(host, login.host) || (login.host.starts_with('/') && host.text == "localhost");
        (host_fits
            && fits(port, login.port)
            && fits(database, login.database)
            && fits(user, login.user)
            && !password.text.is_empty())
        .then(|| password.text.clone())
    })
}

/// One field of a line; `any` stands for a bare `*`.
struct Field {
    text: String,
    any: bool,
}

/// Splits at the first four plain colons; the password takes the rest up to a fifth.
fn split_line(line: &str) -> Vec<Field> {
    let mut fields = vec![String::new()];
    let mut raw = vec![0_usize];
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        let last = fields.len() - 1;
        match c {
            ':' if fields.len() == 5 => break,
            ':' => {
                fields.push(String::new());
                raw.push(0);
                continue;
            }
            '\\' => {
                fields[last].extend(characters.next());
                raw[last] += 1;
            }
            c => fields[last].push(c),
        }
        raw[last] += 1;
    }
    fields.into_iter().zip(raw).map(|(text, length)| Field { any: text == "*" && length == 1, text }).collect()
}

/// Finds the keywords a service file gives for a service, `None` when it has no such section.
pub(super) fn find_service(file: &str, service: &str) -> Option<Vec<(String, String)>> {
    let header = format!("[{service}]");
    let mut lines = file.lines().map(str::trim);
    lines.find(|line| *line == header)?;
    Some(
        lines
            .take_while(|line| !line.starts_with('['))
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('='))
            .map(|(keyword, value)| (keyword.trim().to_owned(), value.trim().to_owned()))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment
db.example:5432:shop:ann:one
db.example:*:*:ann:two
10.0.0.1\\:x:5432:*:*:three
localhost:*:a\\:b:*:fo\\:ur\\\\
\\*:*:*:*:never
/run/pg:5432:*:*:five\r
*:*:*:bob:
*:*:*:bob:six:rest
";

    fn find(host: &str, port: &str, database: &str, user: &str) -> Option<String> {
        let login = Login { host, port, database, user };
        find_password(FILE, &login)
    }

    #[test]
    fn the_first_fitting_line_gives_the_password() {
        let table = [
            (("db.example", "5432", "shop", "ann"), Some("one")),
            (("db.example", "5433", "shop", "ann"), Some("two")),
            (("db.example", "5433", "shop", "eve"), None),
            (("10.0.0.1:x", "5432", "x", "eve"), Some("three")),
            (("localhost", "1", "a:b", "eve"), Some("fo:ur\\")),
            (("/var/run/postgresql", "1", "a:b", "eve"), Some("fo:ur\\")),
            (("/run/pg", "5432", "x", "eve"), Some("five")),
            (("elsewhere", "5432", "x", "bob"), Some("six")),
        ];
        for ((host, port, database, user), wanted) in table {
            assert_eq!(find(host, port, database, user).as_deref(), wanted, "{host}");
        }
    }

    #[test]
    fn a_password_file_others_may_read_is_ignored() -> std::io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("pgpass");
        assert_eq!(read_passwords(&path), Ok(String::new()));
        fs::write(&path, "x")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        let shown = path.display();
        assert_eq!(
            read_passwords(&path),
            Err(format!("password file `{shown}` is ignored: others may read it; run `chmod 600 {shown}`"))
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        assert_eq!(read_passwords(&path), Ok("x".to_owned()));
        Ok(())
    }

    #[test]
    fn a_service_is_one_section() {
        let file = "[one]\nhost=a\n# no\nport = 5\n[two]\nhost=b\n";
        let pairs = vec![("host".to_owned(), "a".to_owned()), ("port".to_owned(), "5".to_owned())];
        assert_eq!(find_service(file, "one"), Some(pairs));
        assert_eq!(find_service(file, "three"), None);
    }
}
