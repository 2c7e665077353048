//! Rules that are declared and not yet real, where pages and laws do not look: several writers, few rights, odd names, and
//! what later refactorings make of them.

use postgres::Client;

use crate::laws::random::Random;
use crate::rebuild::{assert_same, ok, structure};
use crate::support::Database;

const SHOP: &str = "
    CREATE TABLE customers (id int PRIMARY KEY, code int, name text);
    CREATE TABLE orders (id int PRIMARY KEY, customer_id int, city text, n int);
    CREATE INDEX ON customers (code); CREATE INDEX ON orders (customer_id);
    INSERT INTO customers VALUES (1, 1, 'a'), (2, 2, 'b');
    INSERT INTO orders VALUES (1, 1, 'u', 1), (2, 2, 'v', 2);";

fn code_of(result: Result<u64, postgres::Error>) -> Option<String> {
    result.err().and_then(|e| e.code().map(|c| c.code().to_owned()))
}

/// Four sessions write keys from a small range; gives how many writes were done.
fn race(shop: &Database, isolation: &str) -> usize {
    let writer = |seed: u64| {
        let mut client = shop.next();
        let set = format!("SET default_transaction_isolation = '{isolation}'; SET deadlock_timeout = '20ms'");
        client.batch_execute(&set).unwrap();
        let mut random = Random::new(seed);
        let mut done = 0;
        for turn in 0..120 {
            let (id, code) = (1000 * i32::try_from(seed).unwrap() + turn, i32::try_from(random.below(60)).unwrap());
            let mut transaction = client.transaction().unwrap();
            let first = transaction.execute("INSERT INTO customers VALUES ($1, $2)", &[&id, &code]);
            let second = if first.is_ok() && random.percent(50) {
                transaction.execute("UPDATE customers SET code = $1 WHERE code = $2", &[&(code + 1), &code])
            } else {
                first
            };
            let result = second.and_then(|rows| transaction.commit().map(|()| rows));
            done += usize::from(result.is_ok());
            let code = code_of(result);
            assert!(matches!(code.as_deref(), None | Some("23505" | "40001" | "40P01")), "{code:?}");
        }
        done
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (1..5).map(|seed| scope.spawn(move || writer(seed))).collect();
        writers.into_iter().map(|w| w.join().unwrap()).sum()
    })
}

#[test]
fn writers_of_one_key_wait_for_each_other() {
    let rule: &[&str] = &["add-unique", "customers", "code"];
    let index: &[&str] = &["create-index", "customers", "code + 0", "--unique", "--where", "id > 0"];
    for (isolation, command) in [("read committed", rule), ("serializable", rule), ("read committed", index)] {
        let shop = Database::new(SHOP);
        shop.ok(command);
        let done = race(&shop, isolation);
        assert!(done > 20, "{isolation}: {done}");
        let twice = "SELECT code FROM customers GROUP BY code HAVING count(*) > 1";
        assert_eq!(shop.rows(twice), Vec::<String>::new(), "{isolation}");
        shop.ok(&["materialize", "--yes"]);
    }
}

#[test]
fn the_row_referred_to_is_there_until_the_end() {
    let shop = Database::new(SHOP);
    shop.ok(&["add-foreign-key", "orders", "customer_id", "--references", "customers"]);
    let (mut one, mut other) = (shop.next(), shop.client());
    let mut writing = one.transaction().unwrap();
    writing.execute("UPDATE orders SET customer_id = 2 WHERE id = 1", &[]).unwrap();
    let deleting = "SET lock_timeout = '50ms'; DELETE FROM customers WHERE id = 2";
    assert_eq!(other.batch_execute(deleting).unwrap_err().code().unwrap().code(), "55P03");
    writing.commit().unwrap();
}

#[test]
fn rules_declared_with_their_fields_are_asked_when_these_are_there() {
    let first = Database::new(SHOP);
    first.ok(&["add-field", "orders.rank", "int", "--as", "n - 1"]);
    first.ok(&["set-not-null", "orders.rank"]);
    first.ok(&["add-check", "orders", "rank < n", "--name", "below"]);
    first.ok(&["rename-field", "orders.rank", "place"]);
    let second = Database::new(SHOP);
    std::fs::create_dir_all(second.files()).unwrap();
    for file in std::fs::read_dir(first.files()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), second.files().join(file.file_name())).unwrap();
    }
    let third = Database::new(&format!("{SHOP} UPDATE orders SET n = NULL WHERE id = 2;"));
    std::fs::create_dir_all(third.files()).unwrap();
    for file in std::fs::read_dir(first.files()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), third.files().join(file.file_name())).unwrap();
    }
    second.ok(&["apply"]);
    let mut next = second.next();
    assert_eq!(code_of(next.execute("UPDATE orders SET place = NULL WHERE id = 1", &[])).as_deref(), Some("23502"));
    assert_eq!(code_of(next.execute("UPDATE orders SET place = 9 WHERE id = 1", &[])).as_deref(), Some("23514"));
    let refused = third.run(&["apply"]);
    let talk = String::from_utf8(refused.stderr).unwrap();
    assert!(talk.contains("1 row of `orders` does not: 2"), "{talk}");
    assert_eq!(third.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'next'"), Vec::<String>::new());
}

const RULES: &[&[&str]] = &[
    &["set-default", "orders.city", "'nowhere'"],
    &["add-unique", "customers", "code", "name"],
    &["add-foreign-key", "orders", "customer_id", "--references", "customers", "--on-delete", "cascade"],
    &["rename-table", "customers", "clients"],
    &["rename-field", "clients.code", "number"],
    &["create-index", "orders", "city", "--where", "n > 0"],
    &["rename-field", "orders.city", "town"],
    &["set-not-null", "orders.town"],
    &["move-field", "orders.town", "clients", "--fill", "'x'"],
    &["add-check", "clients", "town <> name"],
    &["rename-field", "clients.name", "title"],
    &["drop-constraint", "clients", "customers_code_name_key"],
    &["add-unique", "clients", "number"],
];

#[test]
fn rules_follow_their_fields_fused_and_step_by_step() {
    for way in ["64", "0"] {
        let shop = Database::new(SHOP);
        for command in RULES {
            shop.ok(command);
        }
        let (stepwise, undone) = (shop.copy(), shop.copy());
        shop.ok(&["materialize", "--yes", "--rebuild-from", way]);
        ok(&stepwise, &["materialize", "--yes", "--step-by-step", "--rebuild-from", way]);
        assert_same(&shop, &stepwise);
        let rules = "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint
            WHERE contype IN ('c', 'u', 'f') AND connamespace = 'public'::regnamespace ORDER BY 1, 2";
        assert_eq!(
            shop.rows(rules),
            [
                "(clients,clients_check,\"CHECK ((town <> title))\")",
                "(clients,clients_number_key,\"UNIQUE (number)\")",
                "(orders,orders_customer_id_fkey,\"FOREIGN KEY (customer_id) REFERENCES clients(id) ON DELETE CASCADE\")",
            ]
        );
        undone.ok(&["undo", "--all", "--yes"]);
        assert_eq!(structure(&undone), structure(&Database::new(SHOP)));
    }
}

#[test]
fn a_rule_asks_with_the_rights_of_the_tables_owner() {
    let role = format!("clerk_{}", std::process::id());
    let shop = Database::new(SHOP);
    let mut owner = shop.client();
    owner.batch_execute(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT, INSERT ON orders TO {role}")).unwrap();
    shop.ok(&["add-unique", "orders", "n"]);
    shop.ok(&["add-foreign-key", "orders", "customer_id", "--references", "customers"]);
    shop.ok(&["add-check", "orders", "city <> ''"]);
    owner.batch_execute(&format!("SET search_path = next, public; SET ROLE {role}")).unwrap();
    let mut insert = |values: &str| {
        let result = owner.execute(&format!("INSERT INTO orders VALUES ({values})"), &[]);
        code_of(result).unwrap_or_else(|| "done".into())
    };
    let outcomes = ["3, 1, 'u', 1", "3, 9, 'u', 3", "3, 1, '', 3", "3, 1, 'u', 3"].map(&mut insert);
    assert_eq!(outcomes, ["23505", "23503", "23514", "done"]);
    owner.batch_execute(&format!("RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")).unwrap();
}

#[test]
fn hostile_names_have_rules_too() {
    let shop = Database::new(
        r#"CREATE SCHEMA "S x"; CREATE TABLE "S x"."Ord""er" ("%s" int PRIMARY KEY, "select" int, "a""b %" text, "ünï" int);
           CREATE TABLE "S x"."far '%" ("I d" int PRIMARY KEY);
           INSERT INTO "S x"."far '%" VALUES (1); INSERT INTO "S x"."Ord""er" VALUES (1, 1, 'x', 1);"#,
    );
    let table = r#""S x"."Ord""er""#;
    shop.ok(&["add-check", table, r#""select" > 0 OR "a""b %" = '$refactor$'"#, "--name", "Che\"ck '%s"]);
    shop.ok(&["add-unique", table, r#""a""b %""#, r#""%s""#, "--name", "Uni %s"]);
    shop.ok(&["add-foreign-key", table, "ünï", "--references", r#""S x"."far '%""#]);
    shop.ok(&["set-not-null", &format!(r#"{table}."a""b %""#)]);
    shop.ok(&["set-default", &format!(r#"{table}."a""b %""#), "'it''s $refactor$ \\ %'"]);
    shop.ok(&["create-index", table, "select", "--where", r#""a""b %" <> 'x'"#, "--name", "In dex"]);
    let mut next: Client = shop.client();
    next.batch_execute("SET search_path = next, \"S x\"").unwrap();
    let mut insert = |values: &str| {
        let error = next.execute(&format!("INSERT INTO \"Ord\"\"er\" VALUES ({values})"), &[]).unwrap_err();
        let error = error.as_db_error().unwrap();
        let name = error.constraint().or(error.column()).unwrap_or_default().to_owned();
        (name, error.detail().unwrap_or_default().to_owned())
    };
    assert_eq!(insert("2, 0, 'x', 1"), ("Che\"ck '%s".into(), String::new()));
    assert_eq!(insert("2, 1, NULL, 1"), ("a\"b %".into(), String::new()));
    let (name, detail) = insert("2, 1, 'x', 7");
    assert_eq!((&*name, &*detail), ("Ord\"er_ünï_fkey", "Key (ünï)=(7) is not present in table \"far '%\"."));
    shop.ok(&["materialize", "--yes"]);
    let defaults =
        "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = '\"S x\".\"Ord\"\"er\"'::regclass";
    assert_eq!(shop.rows(defaults), [r#"("'it''s $refactor$ \\ %'::text")"#]);
}
