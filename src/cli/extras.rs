//! `completions`, `man` and `docs`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;
use include_dir::{Dir, DirEntry, include_dir};

use crate::cli::{Context, command};
use crate::problem::{Kind, Problem};

/// Which shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// Shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints a completion script.
pub fn completions(context: &Context, args: &Completions) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command(), "refactor", &mut script);
    context.ui.raw(String::from_utf8_lossy(&script));
}

/// Which page.
#[derive(Debug, Args)]
pub struct Man {
    /// Verb [default: all in one page]
    verb: Option<String>,
    /// Write a page for each verb into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "verb")]
    to: Option<PathBuf>,
}

/// Prints the manual page: all verbs in one, or that of a verb; or writes one for each.
pub fn man(context: &Context, args: &Man) -> Result<(), Problem> {
    let failed = |e: std::io::Error| Problem::new(Kind::Files, "cannot write the manual page", e.to_string());
    if let Some(directory) = &args.to {
        std::fs::create_dir_all(directory).map_err(failed)?;
        clap_mangen::generate_to(command(), directory).map_err(failed)?;
        context.ui.done(format!("the manual pages are in {}", directory.display()));
        return Ok(());
    }
    let mut page = Vec::new();
    if let Some(wanted) = &args.verb {
        let whole = command();
        let verb = whole.find_subcommand(wanted).ok_or_else(|| {
            Problem::new(Kind::Usage, format!("cannot print the page of `{wanted}`"), "there is no such verb")
                .hint("`refactor --help` lists the verbs")
        })?;
        let verb = verb.clone().name(&*format!("refactor-{wanted}").leak()).bin_name(format!("refactor {wanted}"));
        clap_mangen::Man::new(verb).render(&mut page).map_err(failed)?;
        context.ui.raw(String::from_utf8_lossy(&page));
        return Ok(());
    }
    clap_mangen::Man::new(command()).render(&mut page).map_err(failed)?;
    for verb in command().get_subcommands().filter(|v| v.get_name() != "help") {
        let title = format!("refactor {}", verb.get_name());
        let verb = verb.clone().name(&*title.leak());
        let man = clap_mangen::Man::new(verb);
        man.render_name_section(&mut page).map_err(failed)?;
        man.render_synopsis_section(&mut page).map_err(failed)?;
        man.render_description_section(&mut page).map_err(failed)?;
        man.render_options_section(&mut page).map_err(failed)?;
    }
    context.ui.raw(String::from_utf8_lossy(&page));
    Ok(())
}

/// The manual.
static PAGES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/docs");

/// How it begins.
const GUIDE: &str = include_str!("../../templates/guide.md");

/// What to read.
#[derive(Debug, Args)]
pub struct Docs {
    /// Page, as `move-field` or `materialize` [default: a guide, all verbs, and the list of pages]
    topic: Option<String>,
}

/// Prints a page of the manual.
pub fn docs(context: &Context, args: &Docs) -> Result<(), Problem> {
    let pages = pages(&PAGES);
    let text = match &args.topic {
        None => {
            let names: Vec<&str> = pages.iter().map(|(name, _)| *name).collect();
            let verbs = command().render_help().to_string();
            format!(
                "{GUIDE}\n## Verbs\n\n```\n{}\n```\n\n## Pages\n\n`refactor docs PAGE`, of these: {}\n",
                verbs.trim_end(),
                names.join(", ")
            )
        }
        Some(topic) => {
            if let Some((_, text)) = pages.iter().find(|(name, _)| name == topic) {
                (*text).to_owned()
            } else {
                let why = "there is no such page";
                return Err(Problem::new(Kind::Usage, format!("cannot print `{topic}`"), why)
                    .hint("`refactor docs` lists the pages"));
            }
        }
    };
    context.ui.json(&serde_json::json!({ "text": text }));
    context.ui.out(text.trim_end());
    Ok(())
}

/// The pages of a directory and those below it, by their names.
fn pages(directory: &'static Dir<'static>) -> Vec<(&'static str, &'static str)> {
    let page = |entry: &'static DirEntry<'static>| match entry {
        DirEntry::Dir(below) => pages(below),
        DirEntry::File(file) => {
            let name = file.path().file_stem().and_then(|name| name.to_str());
            let is_page = file.path().extension().is_some_and(|e| e == "md");
            name.zip(file.contents_utf8()).filter(|_| is_page).into_iter().collect()
        }
    };
    directory.entries().iter().flat_map(page).collect()
}
