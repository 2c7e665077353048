//! Mistakes: the whole message, the exit code, and that nothing was lost.

use crate::page::shell;
use crate::support::{Database, rows, tool};

const SHOP: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
    CREATE TABLE addresses (id int PRIMARY KEY);
    CREATE TABLE orders (
      id int PRIMARY KEY, customer_id int REFERENCES customers, city text, total int,
      ship_to int CONSTRAINT ship_fkey REFERENCES addresses, bill_to int CONSTRAINT bill_fkey REFERENCES addresses);
    INSERT INTO customers VALUES (1, 'Ann'), (2, 'Ben'), (3, 'Cal');
    INSERT INTO orders VALUES (10, 1, 'Ulm', 5), (11, 1, 'Ulm', 6), (12, 2, 'Bonn', 7), (13, NULL, 'Kiel', 8);";

/// Everything that a mistake must leave alone: rows, objects, the journal, the files, and what `status` says.
fn state(shop: &Database) -> Vec<String> {
    let mut state = Vec::new();
    for table in ["customers", "addresses", "orders"] {
        state.extend(shop.rows(&format!("SELECT t.xmin, t.* FROM {table} AS t")));
    }
    state.extend(shop.rows(
        "SELECT n.nspname, c.relname, c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
         WHERE n.nspname !~ '^pg_|^information_schema'",
    ));
    if !shop.rows("SELECT 1 FROM pg_class WHERE oid = to_regclass('refactor.journal')").is_empty() {
        state.extend(shop.rows("SELECT * FROM refactor.journal"));
    }
    for file in std::fs::read_dir(shop.files()).into_iter().flatten() {
        state.push(std::fs::read_to_string(file.unwrap().path()).unwrap());
    }
    state.push(shell(shop, "refactor status"));
    state
}

/// Runs a command that is a mistake.
fn mistake(shop: &Database, command: &str, said: &str) {
    let before = state(shop);
    assert_eq!(shell(shop, command), said, "{command}");
    assert_eq!(state(shop), before, "{command} left something behind");
}

#[test]
fn names_that_are_not_there() {
    let shop = Database::new(SHOP);
    mistake(
        &shop,
        "refactor move-field order.city customers",
        "error: cannot move field `order.city` to `customers`
  because there is no table `order`
hint: did you mean `orders`?
[exit code 1]
",
    );
    mistake(
        &shop,
        "refactor move-field orders.citty customers",
        "error: cannot move field `orders.citty` to `customers`
  because table `orders` has no field `citty`
hint: did you mean `city`?
[exit code 1]
",
    );
    mistake(
        &shop,
        "refactor rename-field customers.telephone phone",
        "error: cannot rename field `customers.telephone` to `phone`
  because table `customers` has no field `telephone`
hint: `refactor show --tables customers` lists its fields
[exit code 1]
",
    );
    mistake(
        &shop,
        "refactor drop-field warehouse.city",
        "error: cannot drop field `warehouse.city`
  because there is no table `warehouse`
hint: `refactor show --tables` lists the tables
[exit code 1]
",
    );
}

#[test]
fn keys_that_do_not_lead_there() {
    let shop = Database::new(SHOP);
    mistake(
        &shop,
        "refactor move-field customers.name addresses",
        "error: cannot move field `customers.name` to `addresses`
  because no foreign key leads from `customers` to `addresses` or back
hint: add the foreign key first, or name the matching fields, as in `--on customer_id=id`
[exit code 1]
",
    );
    mistake(
        &shop,
        "refactor move-field orders.city addresses",
        "error: cannot move field `orders.city` to `addresses`
  because 2 foreign keys lead from `orders` to `addresses`: `bill_fkey`, `ship_fkey`
hint: choose one, as in `--via bill_fkey`
[exit code 1]
",
    );
    mistake(
        &shop,
        "refactor move-field orders.city addresses --via orders_customer_id_fkey",
        "error: cannot move field `orders.city` to `addresses`
  because `orders_customer_id_fkey` is not a foreign key on a way from `orders` to `addresses`
hint: usable: `bill_fkey`, `ship_fkey`
[exit code 1]
",
    );
}

#[test]
fn data_that_disagree() {
    mistake(
        &Database::new(SHOP),
        "refactor move-field orders.total customers",
        "error: cannot move field `orders.total` to `customers`
  because each `customers` must have one `total` in its `orders`; 1 row of `customers` does not: 1
hint: which value is right is a question of your design: correct the data, then try again
  the query that finds them:
  SELECT a0.customer_id::text FROM public.orders AS a0 WHERE a0.customer_id IS NOT NULL GROUP BY a0.customer_id
  HAVING count(DISTINCT a0.total) + max(CASE WHEN a0.total IS NULL THEN 1 ELSE 0 END) > 1
[exit code 1]
",
    );
}

#[test]
fn a_file_edited_after_it_was_applied() {
    let shop = Database::new(SHOP);
    shop.ok(&["rename-field", "orders.city", "town"]);
    let file = shop.files().join("0001-rename-city-to-town-in-orders.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("town", "place")).unwrap();
    let said = "error: the file of 0001-rename-city-to-town-in-orders is not what this database was given
  because it was changed after it was applied
    - to = \"town\"
    + to = \"place\"
hint: restore the file, or take it back and apply it anew: `refactor undo --keep-files 0001-rename-city-to-town-in-orders`, then `refactor apply`
[exit code 1]
";
    for command in ["apply", "plan", "materialize --yes", "rename-table orders purchases"] {
        mistake(&shop, &format!("refactor {command}"), said);
    }
    mistake(
        &shop,
        "refactor check",
        "error: files and database do not agree
  because 0001-rename-city-to-town-in-orders was changed after it was applied
    - to = \"town\"
    + to = \"place\"
hint: `refactor status` shows both sides
[exit code 1]
",
    );
    assert_eq!(
        shell(&shop, "refactor status"),
        "0001-rename-city-to-town-in-orders  deferred      … by …  (file changed after it was applied)
1 deferred: `next` shows the new shape, the tables have the old one
"
    );
    // What the hint says leads out of it.
    shop.ok(&["undo", "--keep-files", "0001-rename-city-to-town-in-orders"]);
    shop.ok(&["apply"]);
    assert_eq!(shop.rows("SELECT place FROM next.orders WHERE id = 10"), ["(Ulm)"]);
    // And what was edited is never deleted.
    std::fs::write(&file, text.replace("town", "spot")).unwrap();
    assert_eq!(
        shell(&shop, "refactor undo"),
        "note: the file of 0001-rename-city-to-town-in-orders was edited, so it stays
undone: 0001-rename-city-to-town-in-orders
nothing is deferred now; the database is as it was before, but for the journal
"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text.replace("town", "spot"));
}

#[test]
fn two_runs_at_once() {
    let shop = Database::new(SHOP);
    let mut other = shop.client();
    let holder: String = other
        .query_one(
            "SELECT format('process %s of %s%s, since %s', pid, usename, coalesce(' at ' || host(client_addr), ''),
               to_char(backend_start, 'HH24:MI:SS'))
             FROM pg_stat_activity WHERE pid = pg_backend_pid() AND pg_advisory_lock(x'7265666163746f72'::bigint)::text = ''",
            &[],
        )
        .unwrap()
        .get(0);
    let said = format!(
        "error: cannot work on this database now
  because another run of refactor is at work: {holder}
hint: wait until it has finished; its lock ends with its connection
[exit code 1]
"
    );
    for command in ["rename-field orders.city town", "apply", "undo", "materialize --yes"] {
        mistake(&shop, &format!("refactor {command}"), &said);
    }
    drop(other);
    // A run lets go of the lock before it ends: the next one need not wait.
    for name in ["town", "place", "spot"] {
        let from = shop.rows("SELECT attname FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum = 3");
        shop.ok(&["rename-field", &format!("orders.{}", from[0].trim_matches(['(', ')'])), name]);
        shop.ok(&["materialize", "--yes"]);
    }
}

#[test]
fn a_schema_next_that_is_somebody_elses() {
    let shop = Database::new(SHOP);
    shop.client().batch_execute("CREATE SCHEMA next; CREATE TABLE next.mine (a int)").unwrap();
    let owner = shop.rows("SELECT current_user")[0].trim_matches(['(', ')']).to_owned();
    mistake(
        &shop,
        "refactor rename-field orders.city town",
        &format!(
            "error: cannot show a new shape in this database
  because schema `next` exists and is not this tool's: it belongs to `{owner}`
hint: rename that schema first, as in `ALTER SCHEMA next RENAME TO …`
[exit code 1]
"
        ),
    );
}

#[test]
fn a_view_of_somebody_on_the_new_shape() {
    let shop = Database::new(SHOP);
    shop.ok(&["rename-field", "orders.city", "town"]);
    shop.client().batch_execute("CREATE VIEW mine AS SELECT town FROM next.orders").unwrap();
    let because = "  because something of yours uses what this tool generated: cannot drop desired object(s) because other objects depend on them
    detail: view mine depends on view next.orders
    hint: Use DROP ... CASCADE to drop the dependent objects too.
    SQLSTATE: 2BP01
hint: drop that object first, or have it read the tables; nothing was changed
[exit code 1]
";
    let first = "0001-rename-city-to-town-in-orders";
    mistake(
        &shop,
        "refactor rename-field orders.total sum",
        &format!("error: cannot show 0002-rename-total-to-sum-in-orders in `next`\n{because}"),
    );
    mistake(&shop, "refactor undo", &format!("error: cannot undo {first}\n{because}"));
    assert_eq!(shop.rows("SELECT * FROM mine"), ["(Bonn)", "(Kiel)", "(Ulm)", "(Ulm)"]);
    // What it does not read may change.
    shop.ok(&["rename-table", "customers", "people"]);
    assert_eq!(shop.rows("SELECT * FROM mine"), ["(Bonn)", "(Kiel)", "(Ulm)", "(Ulm)"]);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let shop = Database::new(SHOP);
    mistake(
        &shop,
        "refactor move-field orders.city",
        "error: the following required arguments were not provided:
  <TO>

Usage: refactor move-field <FIELD> <TO>

For more information, try '--help'.
[exit code 2]
",
    );
    mistake(
        &shop,
        "refactor mov-field orders.city customers",
        "error: unrecognized subcommand 'mov-field'

  tip: some similar subcommands exist: 'models', 'add-field', 'drop-field', 'copy-field', 'move-field'

Usage: refactor [OPTIONS] <COMMAND>

For more information, try '--help'.
[exit code 2]
",
    );
    mistake(
        &shop,
        "refactor show nothing",
        "error: cannot show nothing
  because no refactoring has this name
hint: `refactor status` lists them
[exit code 2]
",
    );
    mistake(
        &shop,
        "refactor undo",
        "error: nothing to undo
  because no refactoring is deferred
[exit code 1]
",
    );
    mistake(
        &shop,
        "refactor exec -- no-such-program",
        "error: cannot run `no-such-program`
  because No such file or directory (os error 2)
hint: give a program on the PATH, as in `refactor exec -- psql`
[exit code 2]
",
    );
}

#[test]
fn nobody_to_confirm_means_no() {
    let shop = Database::new(SHOP);
    shop.ok(&["rename-field", "orders.city", "town"]);
    mistake(
        &shop,
        "refactor --quiet materialize < /dev/null | grep -v '^ '; refactor -q materialize < /dev/null > /dev/null",
        "error: nothing was materialized
  because it was not confirmed
hint: answer `y`, or pass `--yes` in scripts
error: nothing was materialized
  because it was not confirmed
hint: answer `y`, or pass `--yes` in scripts
[exit code 1]
",
    );
}

#[test]
fn a_server_that_is_not_there() {
    let shop = Database::new(SHOP);
    mistake(
        &shop,
        "PGUSER=ann refactor --database-url postgresql://localhost:1/shop rename-field orders.city town",
        "error: cannot connect to database \"shop\" on localhost:1 as \"ann\"
  because nothing listens there
hint: start PostgreSQL there, or name another server with `--database-url` or DATABASE_URL
[exit code 1]
",
    );
    mistake(
        &shop,
        "refactor --database-url nonsense rename-field orders.city town",
        "error: cannot read the connection settings
  because it is neither a URL nor `keyword=value` pairs
hint: write `postgresql://user@host:5432/database` or `host=... dbname=...`
[exit code 1]
",
    );
}

#[test]
fn the_right_to_change_tables_is_needed() {
    let shop = Database::new(SHOP);
    let guest = format!("guest_of_{}", shop.name);
    shop.client()
        .batch_execute(&format!("CREATE ROLE {guest}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {guest}"))
        .unwrap();
    mistake(
        &shop,
        &format!("PGOPTIONS='-c role={guest}' refactor rename-field orders.city town"),
        "error: cannot show a new shape in this database
  because `next`, `refactor` must be made for it, and `guest_of_shop` has not the privilege CREATE on the database `shop`
hint: let an administrator run `GRANT CREATE ON DATABASE shop TO guest_of_shop`, or prepare them: `CREATE SCHEMA next AUTHORIZATION guest_of_shop; CREATE SCHEMA refactor AUTHORIZATION guest_of_shop`
[exit code 1]
",
    );
    shop.client().batch_execute(&format!("DROP OWNED BY {guest}; DROP ROLE {guest}")).unwrap();
}

#[test]
fn a_mistake_is_an_object_with_json() {
    let shop = Database::new(SHOP);
    let output = shop.run(&["--json", "drop-field", "orders.citty"]);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        said,
        serde_json::json!({ "error": {
            "what": "cannot drop field `orders.citty`",
            "why": ["table `orders` has no field `citty`"],
            "hint": "did you mean `city`?",
        } })
    );
}

#[test]
fn the_demonstration_works_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let output = tool(directory.path(), "postgresql://localhost:1/nowhere", &["demo", "--json"]);
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = summary["checks"].as_array().unwrap();
    assert_eq!(checks.iter().filter(|c| c["holds"] == true).count(), 7);
    assert_eq!((checks.len(), output.status.code()), (7, Some(0)));
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    let output = tool(directory.path(), "postgresql://localhost:1/nowhere", &["demo"]);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn without_a_server_the_demonstration_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_refactor"))
        .arg("demo")
        .current_dir(directory.path())
        .envs([("REFACTOR_PG_BIN", "/nowhere"), ("NO_COLOR", "1")])
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "error: cannot start a private PostgreSQL server
  because REFACTOR_PG_BIN is `/nowhere`: No such file or directory (os error 2)
hint: name the directory that holds `initdb` and `postgres`
"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn url_and_exec_see_the_new_shape() {
    let shop = Database::new(SHOP);
    shop.ok(&["rename-field", "orders.city", "town"]);
    let url = shop.ok(&["url"]);
    let mut client = postgres::Client::connect(url.trim(), postgres::NoTls).unwrap();
    assert_eq!(rows(&mut client, "SELECT town FROM orders WHERE id = 12"), ["(Bonn)"]);
    assert_eq!(shop.ok(&["exec", "--", "sh", "-c", "echo $PGDATABASE"]).trim(), shop.name);
    assert_eq!(shop.run(&["exec", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
}

#[test]
fn one_object_with_json_whatever_happens() {
    let shop = Database::new(
        "CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'v');
         CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a); INSERT INTO b VALUES (1, 1)",
    );
    let one = |arguments: &[&str]| -> serde_json::Value {
        let output = shop.run(&[&["--json"], arguments].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
            panic!("refactor --json {}: {e}\n{}", arguments.join(" "), String::from_utf8_lossy(&output.stdout))
        })
    };
    assert_eq!(one(&["plan"])["steps"], serde_json::json!([]));
    assert_eq!(one(&["materialize", "--yes"]), serde_json::json!({ "materialized": [], "deferred": [] }));
    one(&["rename-field", "a.v", "w"]);
    assert_eq!(one(&["undo"]), serde_json::json!({ "undone": ["0001-rename-v-to-w-in-a"] }));
    one(&["rename-field", "a.v", "w"]);
    one(&["move-field", "a.w", "b"]);
    let file = shop.files().join("0003-rename-nothing.toml");
    std::fs::write(&file, "after = \"0002-move-w-to-b\"\n[rename-field]\nfield = \"b.nothing\"\nto = \"x\"\n").unwrap();
    assert_eq!(one(&["check"])["error"]["what"], "cannot rename field `b.nothing` to `x`");
    std::fs::remove_file(file).unwrap();
    assert_eq!(
        one(&["materialize", "--yes", "--step-by-step"]),
        serde_json::json!({ "materialized": ["0001-rename-v-to-w-in-a", "0002-move-w-to-b"], "deferred": [] })
    );
}

#[test]
fn expressions_that_are_too_much_or_nothing() {
    let shop = Database::new("CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 2)");
    let sum = vec!["a"; 3000].join("+");
    shop.ok(&["add-field", "t.big", "int", "--as", &sum]);
    assert_eq!(shop.rows("SELECT big FROM next.t"), ["(6000)"]);
    shop.ok(&["materialize", "--yes"]);
    let output = shop.run(&["add-field", "t.bigger", "int", "--as", &vec!["a"; 30_000].join("+")]);
    assert_eq!(output.status.code(), Some(2));
    for (arguments, said) in [
        (
            ["t.s", "serial", "--default", "1"],
            "error: cannot add field `t.s`
  because `serial` is no type, but short for one with numbers from a sequence
hint: add it as `int`, `smallint` or `bigint`; give it a sequence or an identity once it is real
",
        ),
        (
            ["t.s", "inf", "--default", "1"],
            "error: cannot add field `t.s`
  because type \"inf\" does not exist
    SQLSTATE: 42704
hint: `\\dT` in psql lists your types, `\\dTS` all
",
        ),
        (
            ["t.s", "int", "--as", "count(a)"],
            "error: cannot add field `t.s`
  because aggregate functions are not allowed in column generation expressions
    SQLSTATE: 42803
hint: an expression may use the fields of its own row and immutable functions
",
        ),
        (
            ["t.s", "int", "--default", "'x'"],
            "error: cannot add field `t.s`
  because invalid input syntax for type integer: \"x\"
    SQLSTATE: 22P02
hint: correct the expression, or choose another type
",
        ),
    ] {
        assert_eq!(shop.refused(&[&["add-field"][..], &arguments].concat()), said);
    }
}
