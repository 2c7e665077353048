use super::*;

fn resolve(url: Option<&str>, variables: &[(&str, &str)]) -> Result<Target, ConnectError> {
    Target::resolve_in(url, &|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

#[test]
fn a_string_wins_over_variables_and_variables_over_defaults() -> Result<(), ConnectError> {
    let variables = [
        ("DATABASE_URL", "postgres://other/elsewhere"),
        ("PGHOST", "/run/pg"),
        ("PGPORT", "5433"),
        ("PGUSER", "ann"),
        ("PGPASSWORD", ""),
    ];
    let table = [
        (Some("postgres://bob@h/shop"), "database \"shop\" on h:5433 as \"bob\""),
        (Some("dbname=shop"), "database \"shop\" on /run/pg:5433 as \"ann\""),
        (Some("postgres://[::1]:1,two:2/"), "database \"ann\" on [::1]:1, two:2 as \"ann\""),
        (Some("hostaddr=127.0.0.1 host=''"), "database \"ann\" on 127.0.0.1:5433 as \"ann\""),
        (None, "database \"elsewhere\" on other:5433 as \"ann\""),
    ];
    for (url, wanted) in table {
        assert_eq!(resolve(url, &variables)?.describe(), wanted);
    }
    let bare = resolve(None, &variables[1..])?;
    assert_eq!(bare.describe(), "database \"ann\" on /run/pg:5433 as \"ann\"");
    Ok(())
}

#[test]
fn a_url_to_show_has_the_search_path_and_no_password() -> Result<(), ConnectError> {
    let table = [
        (
            "postgres://ann:s%40crt@h/my%20shop?sslmode=require",
            "postgresql://ann@h:5432/my%20shop?sslmode=require&options=-c%20search_path%3Dnext%2C%5C%20%22a%5C%20b%22",
        ),
        (
            "host=/run/pg dbname=shop user=ann password=x options='-c work_mem=1MB'",
            "postgresql://ann@/shop?host=%2Frun%2Fpg&port=5432&options=-c%20work_mem%3D1MB%20-c%20search_path%3Dnext%2C%5C%20%22a%5C%20b%22",
        ),
    ];
    for (url, wanted) in table {
        let target = resolve(Some(url), &[])?;
        assert_eq!(target.url_with_options("next, \"a b\""), wanted);
        let again = resolve(Some(wanted), &[])?;
        assert_eq!(again.describe(), target.describe());
        assert!(!format!("{target:?}").contains("crt"));
    }
    Ok(())
}

#[test]
fn a_child_process_sees_the_same_database() -> Result<(), ConnectError> {
    let target = resolve(Some("postgres://ann:pw@h/shop"), &[("PGSSLMODE", "disable")])?;
    let variables: Vec<_> = target
        .with_database("copy")
        .environment("next")
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        variables,
        [
            "PGDATABASE=copy",
            "PGHOST=h",
            "PGPASSWORD=pw",
            "PGPORT=5432",
            "PGSSLMODE=disable",
            "PGUSER=ann",
            "PGOPTIONS=-c search_path=next",
            "DATABASE_URL=postgresql://ann:pw@h:5432/copy?sslmode=disable&options=-c%20search_path%3Dnext",
        ]
    );
    Ok(())
}

#[test]
fn a_password_from_the_file_is_used_but_not_passed_on() -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir()?;
    let file = home.path().join(".pgpass");
    fs::write(&file, "h:*:shop:ann:found\n")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let home = home.path().display().to_string();
    let variables = [("HOME", home.as_str())];
    let target = resolve(Some("postgres://ann@h/shop"), &variables).map_err(std::io::Error::other)?;
    assert_eq!(target.file_password.as_deref(), Some("found"));
    assert_eq!(target.with_database("other").file_password, None);
    assert_eq!(target.url(None, target.value("password")), "postgresql://ann@h:5432/shop");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640))?;
    let target = target.with_database("shop");
    assert_eq!(target.file_password, None);
    assert!(target.warning().is_some());
    Ok(())
}

#[test]
fn bad_settings_are_refused_before_any_server_is_asked() {
    let table = [
        ("sslmode=maybe", "there is no sslmode `maybe`"),
        ("port=x", "invalid value for option `port`"),
        ("service=x", "there is no service `x`"),
    ];
    for (text, wanted) in table {
        let said = resolve(Some(text), &[]).map_err(|error| error.why());
        assert_eq!(said.err().as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn nobody_listening_is_told_apart() -> Result<(), ConnectError> {
    let target = resolve(Some("host=/nowhere/at/all dbname=shop user=ann"), &[])?;
    let error = target.connect().err();
    assert_eq!(
        error.map(|error| error.to_string()).as_deref(),
        Some(
            "cannot connect to database \"shop\" on /nowhere/at/all:5432 as \"ann\"\n  because there is no such socket"
        )
    );
    Ok(())
}
