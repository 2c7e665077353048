//! `completions` and `man`.

use clap::Args;
use clap_complete::Shell;

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

/// Prints the manual page, all verbs in one.
pub fn man(context: &Context) -> Result<(), Problem> {
    let mut page = Vec::new();
    let failed = |e: std::io::Error| Problem::new(Kind::Usage, "cannot write the manual page", e.to_string());
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
