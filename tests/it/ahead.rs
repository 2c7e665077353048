//! Large tables are built anew while everybody works: nobody's write is lost, whatever is killed when.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use postgres::Client;

use crate::failure::{COMMANDS, SHOP, killed};
use crate::laws::random::Random;
use crate::rebuild::{assert_same, dump, ok};
use crate::script::psql;
use crate::support::Database;

/// What was begun and is not at its end.
pub const LEFT: &str = "SELECT conname FROM pg_constraint WHERE conname LIKE 'refactor_ready%' OR NOT convalidated
    UNION ALL SELECT relname FROM pg_class WHERE relname ~ '^(refactor_)?ready|^later'
    UNION ALL SELECT tgname FROM pg_trigger WHERE tgname ~ '^[!~]refactor'
    UNION ALL SELECT proname FROM pg_proc WHERE proname ~ '^ready'";

/// Who writes: the path on which it finds its tables, and a statement that adds one to a row.
pub const WRITERS: [(&str, &str); 3] = [
    ("public", "UPDATE public.orders SET k = k + 1 WHERE id = $1"),
    ("next, public", "UPDATE orders SET k = k + 1 WHERE id = $1"),
    ("next, public", "UPDATE clients SET phone = phone + 1 WHERE id = 1 + $1 % 50"),
];

/// What they add to, once all is real.
pub const SUMS: &str = "SELECT (SELECT sum(k) FROM orders), (SELECT sum(phone) FROM clients)";

fn sums(database: &Database) -> [i64; 2] {
    let row = database.client().query_one(SUMS, &[]).unwrap();
    [row.get(0), row.get(1)]
}

/// Adds one to rows until it is stopped, and counts.
fn write(client: &mut Client, seed: usize, sql: &str, [ended, undone]: [&AtomicBool; 2], done: &AtomicI64) {
    let mut random = Random::new(seed as u64 + 1);
    while !ended.load(Ordering::Relaxed) {
        let sql = sql.replace("$1", &(1 + random.below(120)).to_string());
        match client.batch_execute(&sql) {
            Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
            Err(error) => {
                // Another one won, or the new shape was taken back.
                let code = error.code().map(|c| c.code().to_owned()).unwrap_or_default();
                let gone = code == "42P01" && undone.load(Ordering::Relaxed);
                assert!(gone || ["40001", "40P01"].contains(&&*code), "{sql}: {error:?}");
            }
        }
    }
}

/// Lets the writers go, whatever becomes of who watches them.
struct Stopped<'a>(&'a AtomicBool);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nobody_loses_a_write_however_often_it_is_killed() {
    let rounds = std::env::var("REFACTOR_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let model = Database::new(SHOP);
    for command in COMMANDS {
        ok(&model, command);
    }
    let twin = model.copy();
    ok(&twin, &["materialize", "--yes"]);
    let before = sums(&twin);
    let mut random = Random::new(1);
    let mut whole = 400;
    for round in 0..rounds {
        let shop = model.copy();
        let (ended, undone) = (AtomicBool::new(false), AtomicBool::new(false));
        let done = [const { AtomicI64::new(0) }; 3];
        std::thread::scope(|scope| {
            for (at, (path, sql)) in WRITERS.iter().enumerate() {
                let (shop, says, done) = (&shop, [&ended, &undone], &done[at]);
                scope.spawn(move || {
                    let mut client = shop.client();
                    client.batch_execute(&format!("SET search_path = {path}")).unwrap();
                    write(&mut client, round * 3 + at, sql, says, done);
                });
            }
            let _stopped = Stopped(&ended);
            for _ in 0..random.below(3) {
                let more = Duration::from_millis(random.below(whole) as u64);
                killed(&shop, &["materialize", "--yes", "--beside-from", "0"], 0, more);
                ok(&shop, &["status"]);
            }
            if random.percent(20) {
                // Back, and all again. What is real stays real.
                undone.store(true, Ordering::Relaxed);
                shop.run(&["undo", "--all", "--yes"]);
                model.files().read_dir().unwrap().map(Result::unwrap).for_each(|file| {
                    std::fs::copy(file.path(), shop.files().join(file.file_name())).unwrap();
                });
                ok(&shop, &["apply"]);
            }
            let start = Instant::now();
            ok(&shop, &["materialize", "--yes", "--beside-from", "0"]);
            whole = whole.max(usize::try_from(start.elapsed().as_millis()).unwrap());
        });
        let after = sums(&shop);
        let [old, new, phone] = done.map(AtomicI64::into_inner);
        assert_eq!(after, [before[0] + old + new, before[1] + phone], "round {round}");
        assert!(old > 0 && new > 0 && phone > 0, "{old} {new} {phone}");
        assert_eq!(shop.rows(LEFT), [""; 0]);
        // Which values have no place depends on what was written; the journal counts what was taken back, too.
        let is_ours = |piece: &String| piece.contains("lost_") || piece.contains("refactor_journal_position'");
        let kept = |dump: Vec<String>| -> Vec<String> {
            dump.into_iter().filter(|piece| piece.len() > 4 && !is_ours(piece)).collect()
        };
        assert_eq!(kept(dump(&shop)), kept(dump(&twin)));
    }
}

#[test]
fn a_table_that_somebody_changes_meanwhile_stops_it_and_loses_nothing() {
    for change in [
        "ALTER TABLE orders ADD more int DEFAULT 3",
        "ALTER TABLE customers ALTER name DROP NOT NULL",
        "CREATE INDEX more ON orders (n)",
        "GRANT SELECT ON customers, orders TO PUBLIC",
        "ALTER TABLE orders ADD CHECK (n < 1000)",
    ] {
        let shop = Database::new(SHOP);
        shop.client().batch_execute("CREATE PUBLICATION everything FOR ALL TABLES").unwrap();
        ok(&shop, &["move-field", "orders.city", "customers"]);
        ok(&shop, &["rename-field", "orders.n", "number"]);
        let once = format!(
            "CREATE FUNCTION once() RETURNS event_trigger LANGUAGE plpgsql SET search_path = public AS $$
             BEGIN ALTER EVENT TRIGGER once DISABLE; {change}; END $$;
             CREATE EVENT TRIGGER once ON ddl_command_end WHEN TAG IN ('CREATE TRIGGER') EXECUTE FUNCTION once()"
        );
        shop.client().batch_execute(&once).unwrap();
        let said = shop.refused(&["materialize", "--yes", "--beside-from", "0"]);
        assert!(said.contains("somebody has changed the tables"), "{change}: {said}");
        assert_eq!(shop.rows("SELECT state FROM refactor.journal"), ["(deferred)", "(deferred)"]);
        shop.client().batch_execute("DROP EVENT TRIGGER once; DROP FUNCTION once()").unwrap();
        let wanted = shop.copy();
        ok(&shop, &["materialize", "--yes", "--beside-from", "0"]);
        ok(&wanted, &["materialize", "--yes", "--offline"]);
        assert_same(&shop, &wanted);
        assert_eq!(shop.rows(LEFT), [""; 0]);
    }
}

#[test]
fn others_see_what_a_run_does_and_whom_it_waits_for() {
    let shop = Database::new(SHOP);
    ok(&shop, &["move-field", "orders.city", "customers"]);
    let mut writer = shop.client();
    writer.batch_execute("SET application_name = 'slow writer'; BEGIN; UPDATE orders SET k = 7 WHERE id = 1").unwrap();
    let told = std::thread::scope(|scope| {
        let run = scope.spawn(|| shop.run(&["materialize", "--yes", "--beside-from", "0", "--lock-timeout", "5min"]));
        let told = (0..1000).find_map(|_| {
            let said = String::from_utf8(shop.run(&["status"]).stderr).unwrap();
            said.lines().find(|line| line.contains("; it waits for ")).map(str::to_owned)
        });
        writer.batch_execute("COMMIT").unwrap();
        assert!(run.join().unwrap().status.success());
        told.expect("a run that waits")
    });
    assert!(told.starts_with("a run is at work: process "), "{told}");
    assert!(told.contains(": watch who writes `orders`, for 00:00:0"), "{told}");
    assert!(told.contains("(application slow writer, user "), "{told}");
    assert_eq!(shop.rows(LEFT), [""; 0]);
    assert!(!String::from_utf8(shop.run(&["status"]).stderr).unwrap().contains("at work"));
}

#[test]
fn what_is_left_when_all_is_real_is_done_by_the_next_command() {
    let shop = Database::new(SHOP);
    ok(&shop, &["move-field", "customers.tier", "orders"]);
    let script = shop.ok(&["plan", "--script", "--beside-from", "0"]);
    psql(&shop, &format!("{}\nCOMMIT;\n", script.rsplit_once("\nCOMMIT;\n").unwrap().0)).unwrap();
    assert_eq!(shop.rows(LEFT), ["(later)", "(later_pkey)", "(orders_customer_id_fkey)"]);
    let said = String::from_utf8(shop.run(&["status"]).stderr).unwrap();
    assert!(said.contains("which the next run does: ask the rows of `orders` for `orders_customer_id_fkey`"), "{said}");
    let without = shop.copy();
    without.client().batch_execute("ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey").unwrap();
    for database in [&shop, &without] {
        ok(database, &["apply"]);
        assert_eq!(database.rows(LEFT), [""; 0]);
    }
    let broken = Database::new(SHOP);
    ok(&broken, &["move-field", "customers.tier", "orders"]);
    psql(&broken, &format!("{}\nCOMMIT;\n", script.rsplit_once("\nCOMMIT;\n").unwrap().0)).unwrap();
    let mut writer = broken.client();
    writer
        .batch_execute("SET session_replication_role = replica; UPDATE orders SET customer_id = 999 WHERE id = 1")
        .unwrap();
    let said = broken.refused(&["apply"]);
    assert!(said.contains("cannot finish what was made real") && said.contains("(customer_id)=(999)"), "{said}");
    writer.batch_execute("UPDATE orders SET customer_id = 1 WHERE id = 1").unwrap();
    ok(&broken, &["apply"]);
    assert_eq!(broken.rows(LEFT), [""; 0]);
}
