//! How each runner wants its files: names, numbers, marks, and what of a text it would read.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::cli::export::folder::{Folder, Mark};
use crate::plan::migration::Migration;
use crate::problem::{Kind, Problem};

/// Who runs migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Runner {
    /// `VERSION_name.up.sql` and `.down.sql`
    Sqlx,
    /// `V1__name.sql`; refinery knows no way back, so that is a file that it does not see
    Refinery,
    /// `V1__name.sql` and `U1__name.sql`
    Flyway,
    /// A changelog in formatted SQL
    Liquibase,
    /// A class with `up` and `down`
    Rails,
    /// A revision
    Alembic,
    /// A migration with `RunSQL`
    Django,
    /// Up and Down in one file
    Goose,
    /// Up and down in one file
    Dbmate,
    /// `0001_name.up.sql` and `.down.sql`
    Plain,
}

impl fmt::Display for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

/// A file: its name and its text.
type File = (String, String);

impl Runner {
    /// Where the migrations are.
    pub fn folder(self, out: Option<&Path>) -> Result<PathBuf, Problem> {
        if let Some(out) = out {
            return Ok(out.to_owned());
        }
        let usual: &[&str] = match self {
            Self::Sqlx | Self::Refinery | Self::Goose | Self::Plain => &["migrations"],
            Self::Flyway => &["src/main/resources/db/migration", "db/migration", "migrations", "sql"],
            Self::Liquibase => &["src/main/resources/db/changelog", "db/changelog", "changelog"],
            Self::Rails => &["db/migrate"],
            Self::Alembic => &["migrations/versions", "alembic/versions"],
            Self::Dbmate => &["db/migrations"],
            Self::Django => return app(),
        };
        let there = usual.iter().find(|path| Path::new(path).is_dir());
        Ok(there.or(usual.last()).map(PathBuf::from).unwrap_or_default())
    }

    /// Whether a text means something to the runner, though it stands in a constant.
    pub fn reads(self, text: &str) -> bool {
        let marked = |words: &[&str]| {
            let after = |line: &str| line.trim_start().strip_prefix("--").map(|rest| rest.trim_start().to_lowercase());
            text.lines().filter_map(after).any(|rest| words.iter().any(|word| rest.starts_with(word)))
        };
        let theirs = match self {
            Self::Flyway => text.contains("${"),
            Self::Liquibase => {
                let words = [
                    "changeset",
                    "rollback",
                    "liquibase",
                    "precondition",
                    "property",
                    "validchecksum",
                    "comment",
                    "ignore",
                ];
                text.contains("${") || text.contains("/*") || marked(&words)
            }
            // Lines that begin so are left out, and so are empty ones.
            Self::Goose => text.lines().any(|line| line.starts_with("--") || line.is_empty()) || marked(&["+goose"]),
            Self::Dbmate => marked(&["migrate:"]),
            Self::Alembic => text.contains('\t'),
            Self::Sqlx | Self::Refinery | Self::Rails | Self::Django | Self::Plain => false,
        };
        theirs || text.contains('\r')
    }

    /// The files of a migration. `now`: the moment, as a number.
    pub fn files(
        self,
        folder: &Folder,
        mark: &Mark,
        now: &str,
        (up, down): (&Migration, &Migration),
        losses: &[String],
    ) -> Result<Vec<File>, Problem> {
        let reads = |text: &str| self.reads(text);
        let (up, down) = (up.text(&reads), down.text(&reads));
        let lines: Vec<String> = [mark.line()].into_iter().chain(losses.iter().map(|l| format!("lost: {l}"))).collect();
        // Goose leaves comments out, which is all that is wanted of these.
        let is_read = |line: &String| !matches!(self, Self::Goose) && reads(&format!("-- {line}"));
        let lines = lines.iter().map(|line| line.replace(['\n', '\r'], " ")).filter(|line| !is_read(line));
        let lines: Vec<String> = lines.collect();
        let head = |sign: &str| lines.iter().map(|line| format!("{sign} {line}\n")).collect::<String>();
        let slug = slug(folder, mark);
        let next = |first| folder.next(first, now);
        let two = |up_file: String, down_file: String| {
            Ok(vec![
                (up_file, format!("{}{up}", head("--"))),
                (down_file, format!("{}{down}", head("--").replacen("refactor-export", "taken back", 1))),
            ])
        };
        match self {
            Self::Sqlx => {
                let number = next(None);
                two(format!("{number}_{slug}.up.sql"), format!("{number}_{slug}.down.sql"))
            }
            Self::Plain => {
                let number = next(Some("0001"));
                two(format!("{number}_{slug}.up.sql"), format!("{number}_{slug}.down.sql"))
            }
            Self::Refinery => {
                let number = next(Some("1"));
                two(format!("V{number}__{slug}.sql"), format!("down_V{number}__{slug}.sql"))
            }
            Self::Flyway => {
                let number = next(Some("1"));
                two(format!("V{number}__{slug}.sql"), format!("U{number}__{slug}.sql"))
            }
            Self::Liquibase => {
                let number = next(Some("0001"));
                let back: String = down.lines().map(|line| format!("--rollback {line}\n")).collect();
                let text = format!(
                    "--liquibase formatted sql\n\n{}--changeset refactor:{number}-{slug} splitStatements:false stripComments:false rollbackSplitStatements:false\n{up}{back}",
                    head("--")
                );
                Ok(vec![(format!("{number}-{slug}.sql"), text)])
            }
            Self::Goose => {
                let block = |sql: &str| format!("-- +goose StatementBegin\n{sql}-- +goose StatementEnd\n");
                let text = format!("{}-- +goose Up\n{}\n-- +goose Down\n{}", head("--"), block(&up), block(&down));
                Ok(vec![(format!("{}_{slug}.sql", next(None)), text)])
            }
            Self::Dbmate => {
                let text = format!("{}-- migrate:up\n{up}\n-- migrate:down\n{down}", head("--"));
                Ok(vec![(format!("{}_{slug}.sql", next(None)), text)])
            }
            Self::Rails => Ok(vec![rails(folder, &next(None), &slug, &head("#"), &up, &down)]),
            Self::Django => Ok(vec![django(folder, &next(Some("0001")), &slug, &head("#"), &up, &down)]),
            Self::Alembic => alembic(folder, mark, now, &slug, &head("#"), &up, &down).map(|file| vec![file]),
        }
    }
}

/// The one app of a Django project here that has migrations.
fn app() -> Result<PathBuf, Problem> {
    let apps = std::fs::read_dir(".").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut found: Vec<PathBuf> =
        apps.map(|app| Path::new(&app).join("migrations")).filter(|path| path.is_dir()).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (one, _) => {
            let several = one.is_some();
            let why = if several {
                "several apps here have a folder `migrations`"
            } else {
                "no app here has a folder `migrations`"
            };
            Err(Problem::new(Kind::Usage, "cannot write migrations", why)
                .hint("name the folder: `refactor export --for django --out shop/migrations`"))
        }
    }
}

/// What a migration is called, in letters that every runner and language takes; as no other here.
fn slug(folder: &Folder, mark: &Mark) -> String {
    let first = mark.names.first().map_or("", String::as_str);
    let bare = first.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    let mut slug: String =
        bare.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    while slug.contains("__") {
        slug = slug.replace("__", "_");
    }
    slug.truncate(60);
    let slug = slug.trim_matches('_');
    let start = if slug.starts_with(|c: char| c.is_ascii_alphabetic()) { "" } else { "refactor_" };
    let show = if mark.does == "show" { "show_" } else { "" };
    let more = if mark.names.len() > 1 { format!("_and_{}_more", mark.names.len() - 1) } else { String::new() };
    let slug = format!("{show}{start}{slug}{more}");
    let mut names = std::iter::once(slug.clone()).chain((2..).map(|n| format!("{slug}_{n}")));
    names.find(|name| !folder.has(&format!("_{name}.")) && !folder.has(&format!("-{name}."))).unwrap_or_default()
}

/// The last of what a language calls such a version in files that are there.
fn said<'f>(folder: &'f Folder, before: &str, after: char) -> Option<&'f str> {
    folder.files.iter().rev().find_map(|file| file.text.split_once(before)?.1.split_once(after).map(|(found, _)| found))
}

fn rails(folder: &Folder, number: &str, slug: &str, head: &str, up: &str, down: &str) -> File {
    let class: String = slug.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect();
    let version = said(folder, "ActiveRecord::Migration[", ']').unwrap_or("5.0");
    let text = |sql: &str| {
        let tags = std::iter::once("SQL".to_owned()).chain((1..).map(|n| format!("SQL_{n}")));
        let tag = tags.into_iter().find(|tag| !sql.lines().any(|line| line.trim() == *tag)).unwrap_or_default();
        format!("    execute <<-{tag}\n{}    {tag}\n", sql.replace('\\', "\\\\").replace('#', "\\#"))
    };
    let text = format!(
        "{head}class {class} < ActiveRecord::Migration[{version}]\n  def up\n{}  end\n\n  def down\n{}  end\nend\n",
        text(up),
        text(down)
    );
    (format!("{number}_{slug}.rb"), text)
}

fn is_python(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|extension| extension == "py")
}

/// A text as Python writes it over several lines.
fn python(text: &str) -> String {
    format!("\"\"\"{}\"\"\"", text.replace('\\', "\\\\").replace("\"\"\"", "\\\"\\\"\\\""))
}

fn django(folder: &Folder, number: &str, slug: &str, head: &str, up: &str, down: &str) -> File {
    let absolute = std::path::absolute(folder.path()).unwrap_or_default();
    let parent = absolute.parent();
    let label = parent.and_then(|p| std::fs::read_to_string(p.join("apps.py")).ok()).and_then(|text| {
        let line =
            text.lines().find_map(|line| line.trim().strip_prefix("label")?.trim_start().strip_prefix('='))?.to_owned();
        Some(line.trim().trim_matches(['"', '\'']).to_owned())
    });
    let label = label.or_else(|| Some(parent?.file_name()?.to_str()?.to_owned())).unwrap_or_default();
    let modules = folder.files.iter().filter(|f| is_python(&f.name) && f.text.contains("Migration)"));
    let modules: Vec<(&str, &str)> = modules.map(|f| (f.name.trim_end_matches(".py"), f.text.as_str())).collect();
    let is_leaf = |name: &str| {
        let named = [format!("\"{name}\""), format!("'{name}'")];
        !modules.iter().any(|(other, text)| *other != name && named.iter().any(|n| text.contains(n)))
    };
    let leaves: Vec<String> = modules
        .iter()
        .filter(|(name, _)| is_leaf(name))
        .map(|(name, _)| format!("(\"{label}\", \"{name}\")"))
        .collect();
    let text = format!(
        "{head}from django.db import migrations\n\nUP = {}\n\nDOWN = {}\n\n\nclass Migration(migrations.Migration):\n    dependencies = [{}]\n\n    operations = [migrations.RunSQL(UP, DOWN)]\n",
        python(up),
        python(down),
        leaves.join(", ")
    );
    (format!("{number}_{slug}.py"), text)
}

/// What a Python file gives a name, as it stands there.
fn given<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        let rest = if rest.starts_with([' ', ':', '=']) { rest } else { return None };
        Some(rest.split_once('=')?.1.trim())
    })
}

fn alembic(
    folder: &Folder,
    mark: &Mark,
    now: &str,
    slug: &str,
    head: &str,
    up: &str,
    down: &str,
) -> Result<File, Problem> {
    let text = |text: &'static str| move |c: char| text.contains(c);
    let revisions: Vec<(String, String)> = folder
        .files
        .iter()
        .filter(|f| is_python(&f.name))
        .filter_map(|f| {
            let own = given(&f.text, "revision")?.trim_matches(text("'\" ")).to_owned();
            Some((own, given(&f.text, "down_revision").unwrap_or_default().to_owned()))
        })
        .collect();
    let quoted = |id: &str| [format!("'{id}'"), format!("\"{id}\"")];
    let is_head =
        |id: &str| !revisions.iter().any(|(_, before)| quoted(id).iter().any(|q| before.contains(q.as_str())));
    let heads: Vec<&str> = revisions.iter().map(|(id, _)| id.as_str()).filter(|id| is_head(id)).collect();
    let before = match heads[..] {
        [] => "None".to_owned(),
        [one] => format!("\"{one}\""),
        _ => {
            return Err(Problem::new(
                Kind::Usage,
                "cannot write a revision",
                format!("there are several heads: {}", heads.join(", ")),
            )
            .hint("`alembic merge heads` makes them one"));
        }
    };
    let id = crate::journal::hash(&format!("{} {now} {before}", mark.line()))[..12].to_owned();
    // In a text of its own: `:name` would be a parameter elsewhere.
    let ddl = |sql: &str| python(&sql.replace('%', "%%"));
    let text = format!(
        "{head}from alembic import op\nfrom sqlalchemy import DDL\n\nrevision = \"{id}\"\ndown_revision = {before}\nbranch_labels = None\ndepends_on = None\n\nUP = {}\n\nDOWN = {}\n\n\ndef upgrade():\n    op.execute(DDL(UP))\n\n\ndef downgrade():\n    op.execute(DDL(DOWN))\n",
        ddl(up),
        ddl(down)
    );
    Ok((format!("{id}_{slug}.py"), text))
}
