//! `demo`: a field moves, on a private server with sample data. Nothing of it is left at the end.

mod text;

use std::time::Instant;

use clap::Args;
use postgres::Client;
use serde_json::json;

use crate::cli::Context;
use crate::db::connect::Target;
use crate::db::embedded::Server;
use crate::db::session::Session;
use crate::journal::Entry;
use crate::plan::materialize::Options;
use crate::problem::{Kind, Problem};
use text::{Grid, beside, block, told};

/// The sample database.
const CHINOOK: &str = include_str!("../../samples/chinook.sql");

/// The name of the recorded refactoring that is shown.
const NAME: &str = "0001-move-billing_country-to-customer";

/// Its file.
const FILE: &str = include_str!("../../refactorings/0001-move-billing_country-to-customer.toml");

/// A refactoring that the data do not allow.
const REFUSED: &str = "[move-field]\nfield = \"track.genre_id\"\nto = \"album\"\n";

/// How to show it.
#[derive(Debug, Args)]
pub struct Demo {
    /// Keep the server running until Ctrl-C, and print how to connect
    #[arg(long)]
    keep: bool,
}

/// Shows it.
pub fn run(context: &Context, args: &Demo) -> Result<(), Problem> {
    let start = Instant::now();
    let server = Server::start()?;
    let target = Target::resolve(Some(&server.url("postgres")))?;
    target.connect()?.batch_execute("CREATE DATABASE chinook")?;
    let target = target.with_database("chinook");
    let mut old = target.connect()?;
    old.batch_execute(CHINOOK)?;
    old.batch_execute("ANALYZE")?;
    let mut new = target.connect()?;
    new.batch_execute("SET search_path = next, public")?;
    let show = Show { context, session: Session::new(target.connect()?)?, old, new, checks: Vec::new() };
    let summary = show.run(&server)?;
    let url = args.keep.then(|| server.url("chinook"));
    context.ui.json(&json!({
        "server": server.version(),
        "url": url,
        "refused": summary.refused,
        "declared": NAME,
        "checks": summary.checks.iter().map(|(what, holds)| json!({ "what": what, "holds": holds })).collect::<Vec<_>>(),
        "milliseconds": start.elapsed().as_secs_f64() * 1000.0,
    }));
    if let Some((what, _)) = summary.checks.iter().find(|(_, holds)| !holds) {
        return Err(Problem::new(Kind::Server, "the demonstration went wrong", format!("this did not hold: {what}"))
            .hint("this is a fault of refactor: please report it"));
    }
    if let Some(url) = url {
        keep(context, &url);
    }
    Ok(())
}

/// What came out.
struct Summary {
    refused: String,
    checks: Vec<(String, bool)>,
}

/// The stage.
struct Show<'c> {
    context: &'c Context,
    session: Session,
    /// Code that knows only the old shape.
    old: Client,
    /// Code that knows only the new shape.
    new: Client,
    checks: Vec<(String, bool)>,
}

impl Show<'_> {
    fn run(mut self, server: &Server) -> Result<Summary, Problem> {
        let tables = Grid::of(
            &mut self.old,
            "SELECT count(*), sum(c.reltuples)::bigint FROM pg_class AS c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'",
        )?;
        self.out(format!(
            "A private PostgreSQL {} is running, with the sample database Chinook, a shop for music: {} tables, {} rows.",
            server.version(),
            tables.cell(0, 0),
            tables.cell(0, 1)
        ));
        let refused = self.refusal()?;
        self.declare()?;
        self.shapes()?;
        self.writes()?;
        self.materialize()?;
        self.out(NEXT_STEPS);
        Ok(Summary { refused, checks: self.checks })
    }

    fn out(&self, text: impl AsRef<str>) {
        self.context.ui.out(text);
    }

    fn title(&self, number: u8, text: &str) {
        self.out(format!("\n{number}. {text}\n"));
    }

    /// A move that the data do not allow.
    fn refusal(&mut self) -> Result<String, Problem> {
        self.title(1, "Has each album one genre? Then it could move from the tracks. The tool asks the data first");
        self.out("   $ refactor move-field track.genre_id album");
        let entry = Entry::parse("0001-move-genre_id-to-album", REFUSED)?;
        let place = self.session.place()?;
        match self.session.prepare(&place, &[entry]) {
            Err(problem) if problem.kind == Kind::Fact => {
                self.out(block(&told(&problem)));
                Ok(problem.why.join("; "))
            }
            Err(problem) => Err(problem),
            Ok(_) => Err(Problem::new(Kind::Server, "the demonstration went wrong", "a broken fact was not noticed")),
        }
    }

    /// The move that they do allow.
    fn declare(&mut self) -> Result<(), Problem> {
        self.title(2, "Has each customer one country on the invoices? It has: declare the move, and use it at once");
        self.out("   $ refactor move-field invoice.billing_country customer");
        let entry = Entry::parse(NAME, FILE)?;
        let place = self.session.place()?;
        let mut deferred = self.session.prepare(&place, &[entry])?;
        self.session.defer(&place, &mut deferred, &mut |_, _| {})?;
        self.out(block(&format!("{NAME} is declared and shown in `next`")));
        for answer in &deferred.facts {
            let time = answer.time.as_secs_f64() * 1000.0;
            self.out(block(&format!("  fact: {}: it holds (asked in {time:.0} ms)", answer.fact.sentence())));
        }
        self.out(block(&format!("  no row was moved; done in {:.0} ms", deferred.time.as_secs_f64() * 1000.0)));
        Ok(())
    }

    /// Both shapes of the same rows.
    fn shapes(&mut self) -> Result<(), Problem> {
        self.title(3, "Two shapes of the same rows: the tables, unchanged, and views in the schema `next`");
        let invoices = "FROM invoice WHERE customer_id IN (2, 4) ORDER BY invoice_id LIMIT 4";
        let customers = "FROM customer WHERE customer_id IN (2, 4) ORDER BY customer_id";
        let pairs = [
            ("invoice_id, customer_id, billing_country, total", "invoice_id, customer_id, total", "invoice", invoices),
            ("customer_id, last_name, email", "customer_id, last_name, email, billing_country", "customer", customers),
        ];
        for (before, after, table, rest) in pairs {
            let left = Grid::of(&mut self.old, &format!("SELECT {before} {rest}"))?;
            let right = Grid::of(&mut self.new, &format!("SELECT {after} {rest}"))?;
            let sides = beside(&left.lines(&format!("public.{table}")), &right.lines(&format!("next.{table}")));
            self.out(if table == "customer" { sides } else { sides + "\n" });
        }
        Ok(())
    }

    /// Writes through either shape, each checked on the other side.
    fn writes(&mut self) -> Result<(), Problem> {
        self.title(4, "Both shapes can be written to, and each sees what the other wrote");
        self.check(
            "new code adds a customer with a country",
            Side::New,
            "INSERT INTO customer (customer_id, first_name, last_name, email, billing_country)\nVALUES (60, 'Ada', 'Byron', 'ada@example.org', 'Malta') RETURNING customer_id, billing_country",
            None,
            &["60", "Malta"],
        )?;
        self.check(
            "old code adds an invoice for her: it gets the country",
            Side::Old,
            "INSERT INTO invoice (invoice_id, customer_id, invoice_date, total)\nVALUES (413, 60, '2026-01-31', 9.90) RETURNING invoice_id, billing_country",
            None,
            &["413", "Malta"],
        )?;
        self.check(
            "new code changes a customer: old code sees it on every invoice",
            Side::New,
            "UPDATE customer SET billing_country = 'Austria' WHERE customer_id = 2",
            Some((
                Side::Old,
                "SELECT count(*), min(billing_country), max(billing_country) FROM invoice WHERE customer_id = 2",
            )),
            &["7", "Austria", "Austria"],
        )?;
        self.check(
            "old code changes all invoices of a customer: new code sees it",
            Side::Old,
            "UPDATE invoice SET billing_country = 'Poland' WHERE customer_id = 2",
            Some((Side::New, "SELECT billing_country FROM customer WHERE customer_id = 2")),
            &["Poland"],
        )?;
        self.rejected();
        Ok(())
    }

    /// A write that would leave a customer with two countries.
    fn rejected(&mut self) {
        let sql = "UPDATE invoice SET billing_country = 'Norway' WHERE invoice_id = 1";
        self.out("   old code changes one invoice of several: that would be two countries for one customer");
        self.out(format!("     old> {sql}"));
        let error = self.old.simple_query(sql).err();
        let said = error.as_ref().and_then(postgres::Error::as_db_error);
        if let Some(said) = said {
            self.out(format!("          ERROR {}: {}", said.code().code(), said.message()));
            self.out(format!("          hint: {}", said.hint().unwrap_or("none")));
        }
        let holds = said.is_some_and(|said| said.code().code() == "23000");
        self.note("a write that breaks the fact is rejected with SQLSTATE 23000", holds);
    }

    /// Runs a statement, looks at it from the same or the other side, and compares the first row seen.
    fn check(
        &mut self,
        what: &str,
        side: Side,
        sql: &str,
        look: Option<(Side, &str)>,
        wanted: &[&str],
    ) -> Result<(), Problem> {
        self.out(format!("   {what}"));
        let mut seen = Grid::default();
        for (side, sql) in [Some((side, sql)), look].into_iter().flatten() {
            self.out(format!("     {}> {}", side.name(), sql.replace('\n', "\n          ")));
            seen = Grid::of(if side == Side::Old { &mut self.old } else { &mut self.new }, sql)?;
        }
        let holds = seen.row(0) == wanted;
        self.out(format!("          {}{}", seen.row(0).join(" | "), if holds { "   ok" } else { "" }));
        self.note(what, holds);
        Ok(())
    }

    fn note(&mut self, what: &str, holds: bool) {
        if !holds {
            self.out("          WRONG: this is not what was to be seen");
        }
        self.checks.push((what.to_owned(), holds));
    }

    /// Makes it real, and looks again with the same queries.
    fn materialize(&mut self) -> Result<(), Problem> {
        self.title(5, "Once all code knows the new shape, make it real. What defined the views now moves the data");
        self.out("   $ refactor materialize");
        let query = "SELECT customer_id, billing_country FROM customer ORDER BY customer_id";
        let before = Grid::of(&mut self.new, query)?;
        let place = self.session.place()?;
        let work = self.session.prepare_materialize(&place, 1, &Options::default())?;
        for (at, step) in work.plan.steps.iter().enumerate() {
            self.out(format!("   {:2}. {}", at + 1, step.sentence));
        }
        let start = Instant::now();
        self.session.materialize(&place, &work, &mut |_, _| {})?;
        self.out(format!(
            "   done in {:.0} ms, in one transaction; every table holds exactly what its view showed",
            start.elapsed().as_secs_f64() * 1000.0
        ));
        let after = Grid::of(&mut self.new, query)?;
        self.note("the table holds what the view showed", before == after);
        self.title(6, "`next` is gone. The new code runs on as it is, now on real tables");
        let sql = "SELECT c.customer_id, c.last_name, c.billing_country, count(i.*) AS invoices, sum(i.total) AS total\nFROM customer AS c JOIN invoice AS i USING (customer_id)\nWHERE c.customer_id IN (2, 4, 60) GROUP BY c.customer_id ORDER BY c.customer_id";
        self.out(format!("     new> {}", sql.replace('\n', "\n          ")));
        let grid = Grid::of(&mut self.new, sql)?;
        self.out(grid.lines("").iter().skip(1).map(|l| format!("          {l}")).collect::<Vec<_>>().join("\n"));
        self.note("the new code runs on after materializing", grid.cell(0, 2) == "Poland");
        Ok(())
    }
}

/// Whose connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Old,
    New,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }
}

const NEXT_STEPS: &str = "
The server and its data are gone with this command. On a database of your own (or: `refactor demo --keep`):

   export DATABASE_URL=postgresql://localhost/shop
   refactor move-field orders.city customers     declare; nothing moves yet
   refactor exec -- psql                         look around in the new shape
   refactor show --sql                           the views, and what each cannot do
   refactor plan                                 what `refactor materialize` would do
   refactor undo                                 take it back; nothing is left";

/// Waits until the user ends the program; the server ends with it.
fn keep(context: &Context, url: &str) {
    context.ui.out(format!(
        "\nThe server stays until you press Ctrl-C. In another terminal:\n\n   export DATABASE_URL='{url}'\n   psql \"$DATABASE_URL\""
    ));
    loop {
        std::thread::park();
    }
}
