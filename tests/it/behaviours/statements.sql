## reading

-- read.all
SELECT * FROM item ORDER BY id;

-- read.table-cmd
TABLE item;

-- read.whole-row
SELECT i FROM item i ORDER BY i.id;

-- read.row_to_json
SELECT row_to_json(i) FROM item i ORDER BY i.id;

-- read.to_jsonb
SELECT to_jsonb(i.*) FROM item i ORDER BY i.id;

-- read.json_agg
SELECT json_agg(i ORDER BY i.id) FROM item i;

-- read.attr-notation
SELECT (i).name, i.x FROM item i ORDER BY i.id;

-- read.whole-row-null
SELECT i.id FROM item i WHERE i IS NOT NULL ORDER BY 1;

-- read.left-join-null-row
SELECT c.id, i FROM cat c LEFT JOIN item i ON i.id = c.id + 100 ORDER BY 1;

-- read.group-by-pk
SELECT i.id, i.name, i.x, count(e.id) FROM item i LEFT JOIN entry e ON e.item_id=i.id GROUP BY i.id ORDER BY i.id;

-- read.group-by-pk-star
SELECT i.*, count(e.id) FROM item i LEFT JOIN entry e ON e.item_id=i.id GROUP BY i.id ORDER BY i.id;

-- read.group-by-all
SELECT x, count(*), sum(qty) FROM item GROUP BY x ORDER BY 1;

-- read.distinct-on
SELECT DISTINCT ON (cat_id) id, x FROM item ORDER BY cat_id, id;

-- read.window
SELECT id, row_number() OVER (PARTITION BY cat_id ORDER BY id) FROM item ORDER BY id;

-- read.lateral
SELECT c.id, l.id FROM cat c CROSS JOIN LATERAL (SELECT id FROM item WHERE cat_id=c.id ORDER BY id LIMIT 1) l ORDER BY 1;

-- read.natural-join
SELECT count(*) FROM item NATURAL JOIN (SELECT id FROM item) z;

-- read.compare-rows
SELECT count(*) FROM item a JOIN item b ON a = b WHERE a.x IS NOT NULL;

-- read.only
SELECT count(*) FROM ONLY item;

-- read.tablesample
SELECT count(*) FROM item TABLESAMPLE SYSTEM (100);

-- read.ctid
SELECT ctid IS NOT NULL FROM item WHERE id=1;

-- read.xmin
SELECT xmin IS NOT NULL FROM item WHERE id=1;

-- read.tableoid
SELECT tableoid::regclass::text FROM item WHERE id=1;

-- read.explain
ok: EXPLAIN SELECT * FROM item WHERE id=1;

-- read.explain-update
ok: EXPLAIN UPDATE item SET x='1' WHERE id=1;

-- read.create-table-as
CREATE TEMP TABLE t AS SELECT * FROM item;
SELECT * FROM t ORDER BY id;

-- read.create-like
CREATE TEMP TABLE t (LIKE item INCLUDING ALL);
INSERT INTO t (id,code) VALUES (1,'a');
SELECT attname, attnotnull FROM pg_attribute WHERE attrelid='t'::regclass AND attnum>0 ORDER BY attnum;

-- read.create-view
CREATE TEMP VIEW v AS SELECT * FROM item;
SELECT * FROM v ORDER BY id;
UPDATE v SET name='q' WHERE id=1;

-- read.matview
CREATE MATERIALIZED VIEW public.mv AS SELECT * FROM item;
SELECT count(*) FROM public.mv;

-- read.composite-type
SELECT (jsonb_populate_record(NULL::item,'{"id":99,"x":"2"}')).id;

-- read.rowtype
DO $$ DECLARE r item%ROWTYPE; BEGIN SELECT * INTO r FROM item WHERE id=1; r.name:='zz'; UPDATE item SET name=r.name WHERE id=r.id; END $$;
SELECT name FROM item WHERE id=1;

-- read.func-over-row
CREATE FUNCTION pg_temp.f(item) RETURNS text LANGUAGE sql AS 'SELECT $1.name';
SELECT pg_temp.f(i) FROM item i ORDER BY id;

-- read.sql-function
CREATE FUNCTION pg_temp.g() RETURNS SETOF item LANGUAGE sql AS 'SELECT * FROM item ORDER BY id';
SELECT * FROM pg_temp.g();

-- read.relation-size
SELECT pg_relation_size('item') > 0;

-- read.cursor
DECLARE cu CURSOR FOR SELECT * FROM item ORDER BY id;
FETCH 2 FROM cu;
MOVE 1 IN cu;
FETCH 1 FROM cu;

-- read.scroll-cursor
DECLARE cu SCROLL CURSOR FOR SELECT id,x FROM item ORDER BY id;
FETCH LAST FROM cu;
FETCH PRIOR FROM cu;
FETCH FIRST FROM cu;

## inserting

-- insert.all-returning
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',1,1,'2') RETURNING *;

-- insert.returning-row
INSERT INTO item AS i (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',1,1,'2') RETURNING i, i.x||'!';

-- insert.omit-defaults
INSERT INTO item (code) VALUES ('a') RETURNING *;

-- insert.default-keyword
INSERT INTO item (id,code,qty,x) VALUES (DEFAULT,'a',DEFAULT,DEFAULT) RETURNING *;

-- insert.default-keyword-id-given
INSERT INTO item (id,code,qty,x) VALUES (201,'a',DEFAULT,DEFAULT) RETURNING *;

-- insert.default-values
INSERT INTO item DEFAULT VALUES RETURNING *;

-- insert.multi-row
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',1,1,'2'),(202,'b','nn',1,1,NULL),(203,'c','nn',1,1,'3') RETURNING id, x;

-- insert.multi-row-mixed-default
INSERT INTO item (id,code,qty,x) VALUES (201,'a',DEFAULT,'1'),(202,'b',7,DEFAULT) RETURNING *;

-- insert.multi-default-id
INSERT INTO item (code,x) VALUES ('a','1'),('b','2') RETURNING *;

-- insert.overriding-system
INSERT INTO item (id,code) OVERRIDING SYSTEM VALUE VALUES (201,'a') RETURNING *;

-- insert.overriding-user
INSERT INTO item (id,code) OVERRIDING USER VALUE VALUES (201,'a') RETURNING *;

-- insert.select
INSERT INTO item (id,code,name,x) SELECT 201+id, code||'z', name, x FROM item WHERE id<=3 RETURNING id, code, x;

-- insert.select-default-id
INSERT INTO item (code,name,x) SELECT code||'z', name, x FROM item WHERE id<=3 ORDER BY id RETURNING *;

-- insert.cte-select
WITH ins AS (INSERT INTO item (id,code,x) VALUES (201,'a','1') RETURNING *) SELECT * FROM ins;

-- insert.cte-chain
WITH cc AS (INSERT INTO cat VALUES (9,'c9') RETURNING id), ins AS (INSERT INTO item (id,code,cat_id,x) SELECT 201,'a',id,'1' FROM cc RETURNING id) INSERT INTO archive SELECT id,'x' FROM ins RETURNING *;

-- insert.cte-child-fk
WITH ins AS (INSERT INTO item (id,code,x) VALUES (201,'a','1') RETURNING id) INSERT INTO entry (item_id,note) SELECT id,'w' FROM ins RETURNING item_id, note;

-- insert.then-child
INSERT INTO item (id,code,x) VALUES (201,'a','1');
INSERT INTO entry (item_id,note) VALUES (201,'w') RETURNING item_id;
SELECT i.x, e.note FROM item i JOIN entry e ON e.item_id=i.id WHERE i.id=201;

-- insert.lastval
INSERT INTO item (code) VALUES ('a');
SELECT lastval();

-- insert.currval-pgss
INSERT INTO item (code) VALUES ('a');
SELECT currval(pg_get_serial_sequence('item','id'));

-- insert.setval-pgss
SELECT setval(pg_get_serial_sequence('item','id'), 500);
INSERT INTO item (code) VALUES ('a') RETURNING id;

-- insert.setval-max
SELECT setval(pg_get_serial_sequence('"item"','id'), coalesce(max(id),1), max(id) IS NOT NULL) FROM item;

-- insert.long-varchar
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'zzzzzzzzzzzzzzzzzzzzzzzzzzzzzz','nn',1,1,'2');

-- insert.bad-int
INSERT INTO item (id,code,qty) VALUES (201,'a','abc');

-- insert.int-overflow
INSERT INTO item (id,code,qty) VALUES (201,'a',99999999999);

-- insert.too-many-values
INSERT INTO item VALUES (1,2,3,4,5,6,7,8,9,10);

-- insert.unknown-column
INSERT INTO item (id,nope) VALUES (1,2);

## constraints

-- error.not-null
INSERT INTO item (id,code,qty) VALUES (201,'a',NULL);

-- error.not-null-pk
INSERT INTO item (id,code) VALUES (NULL,'a');

-- error.not-null-code
INSERT INTO item (id,code) VALUES (201,NULL);

-- error.unique
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'k1','nn',1,1,'2');

-- error.pk
INSERT INTO item (id,code) VALUES (1,'zz');

-- error.unique-within
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',1,1,'2'),(202,'a','nn',1,1,'2');

-- error.check
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',0,1,'2');

-- error.fk
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',1,77,'2');

-- error.fk-deferred
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',1,77,'2');
SELECT x FROM item WHERE id=201;
SET CONSTRAINTS ALL IMMEDIATE;

-- error.fk-deferred-ok
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',1,77,'2');
INSERT INTO cat VALUES (77,'late');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT x FROM item WHERE id=201;

-- error.update-check
UPDATE item SET qty=-1 WHERE id=1;

-- error.update-unique
UPDATE item SET code='k2' WHERE id=1;

-- error.update-fk
UPDATE item SET cat_id=77 WHERE id=1;

-- error.update-not-null
UPDATE item SET qty=NULL WHERE id=1;

-- error.delete-referenced
DELETE FROM item WHERE id=6;

-- error.parent-delete
DELETE FROM cat WHERE id=1;

-- error.update-pk-referenced
UPDATE item SET id=600 WHERE id=6;

-- error.swap-unique
UPDATE item SET code = CASE id WHEN 1 THEN 'k2' ELSE 'k1' END WHERE id IN (1,2);

## updating

-- update.one-returning
UPDATE item SET name='u', x='3' WHERE id=1 RETURNING *;

-- update.all
UPDATE item SET qty=qty+1 RETURNING id, qty;

-- update.none
UPDATE item SET x='1' WHERE id=-1 RETURNING *;

-- update.no-op
UPDATE item SET x=x, name=name;

-- update.to-null
UPDATE item SET x=NULL, name=NULL WHERE id=1 RETURNING *;

-- update.default
UPDATE item SET qty=DEFAULT, x=DEFAULT WHERE id=4 RETURNING *;

-- update.multi-assign
UPDATE item SET (name,x)=(SELECT c.name,'2' FROM cat c WHERE c.id=item.cat_id) WHERE id<=3 RETURNING id,name,x;

-- update.row-assign
UPDATE item SET (name,qty,x)=ROW('r',9,'1') WHERE id=2 RETURNING *;

-- update.from
UPDATE item i SET name=c.name, x='2' FROM cat c WHERE c.id=i.cat_id AND c.id=2 RETURNING i.id,i.name,c.id;

-- update.from-returning-star
UPDATE item i SET x='2' FROM cat c WHERE c.id=i.cat_id AND c.id=2 RETURNING *;

-- update.from-many-matches
UPDATE item i SET qty=i.qty+1 FROM entry e WHERE e.item_id=i.id RETURNING i.id, i.qty;

-- update.from-many-same-value
UPDATE item i SET x='2' FROM entry e WHERE e.item_id=i.id RETURNING i.id, i.x;

-- update.self-join
UPDATE item a SET x=b.x FROM item b WHERE b.id=a.id+1 RETURNING a.id,a.x;

-- update.from-values
UPDATE item SET x=v.x, name=v.n FROM (VALUES (1,'3','p'),(2,'1','q')) AS v(id,x,n) WHERE item.id=v.id RETURNING item.id, item.x, item.name;

-- update.pk
UPDATE item SET id=201 WHERE id=4 RETURNING *;

-- update.pk-with-children
UPDATE item SET id=201 WHERE id=1;

-- update.shift-pk
UPDATE item SET id=id+1000 WHERE id=4 RETURNING id, x;

-- update.cte-job-queue
WITH j AS (SELECT id FROM item WHERE x='2' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) UPDATE item SET name='taken' FROM j WHERE item.id=j.id RETURNING item.*;

-- update.in-subselect-lock
UPDATE item SET name='taken' WHERE id = (SELECT id FROM item WHERE x='2' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id, name, x;

-- update.twice-in-cte
WITH a AS (UPDATE item SET x='3' WHERE id=1 RETURNING id) UPDATE item SET x='2' WHERE id=1 RETURNING *;

-- update.twice-in-txn
UPDATE item SET x='3', name='p' WHERE id=1;
UPDATE item SET x='2' WHERE id=1 RETURNING *;
UPDATE item SET x=NULL WHERE id=1;
SELECT * FROM item WHERE id=1;

-- update.insert-then-update
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',1,1,'2');
UPDATE item SET x='1',name='o' WHERE id=201 RETURNING *;
DELETE FROM item WHERE id=201 RETURNING *;

-- update.correlated
UPDATE item SET qty = 1 + (SELECT count(*) FROM entry e WHERE e.item_id=item.id) RETURNING id, qty;

-- update.exists
UPDATE item SET x='1' WHERE EXISTS (SELECT FROM entry e WHERE e.item_id=item.id) RETURNING id;

-- update.by-x
UPDATE item SET x='3' WHERE x='2' RETURNING id;

-- update.current-of
DECLARE cu CURSOR FOR SELECT * FROM item WHERE id=4 FOR UPDATE;
FETCH 1 FROM cu;
UPDATE item SET x='3' WHERE CURRENT OF cu;

-- update.optimistic-version
UPDATE item SET qty=qty+1, x='3' WHERE id=1 AND qty=1;
UPDATE item SET qty=qty+1 WHERE id=1 AND qty=1;

## deleting

-- delete.one-returning
DELETE FROM item WHERE id=4 RETURNING *;

-- delete.using
DELETE FROM item i USING cat c WHERE c.id=i.cat_id AND c.id=1 AND i.id=4 RETURNING i.*, c.id;

-- delete.using-many-matches
DELETE FROM item i USING entry e WHERE e.item_id=i.id RETURNING i.id;

-- delete.cascade
DELETE FROM item WHERE id=1 RETURNING id;
SELECT count(*) FROM entry;

-- delete.all-but
DELETE FROM item WHERE id<>6;

-- delete.none
DELETE FROM item WHERE id=-1 RETURNING *;

-- delete.cte-archive
WITH d AS (DELETE FROM item WHERE id IN (4,5) RETURNING id,name) INSERT INTO archive SELECT * FROM d RETURNING *;

-- delete.by-ctid
DELETE FROM item WHERE ctid IN (SELECT ctid FROM item WHERE id=4);

-- delete.current-of
DECLARE cu CURSOR FOR SELECT * FROM item WHERE id=4;
FETCH 1 FROM cu;
DELETE FROM item WHERE CURRENT OF cu;

-- delete.reinsert
DELETE FROM item WHERE id=4;
INSERT INTO item (id,code,name,x) VALUES (4,'k4','again','3') RETURNING *;

-- delete.and-insert-cte
WITH d AS (DELETE FROM item WHERE id=4 RETURNING id,code) INSERT INTO item (id,code,x) SELECT id+201,code||'n','1' FROM d RETURNING id,code,x;

## ON CONFLICT

-- conflict.nothing
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'k1','nn',1,1,'2') ON CONFLICT DO NOTHING;

-- conflict.nothing-new
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',1,1,'2') ON CONFLICT DO NOTHING RETURNING id;

-- conflict.cols-nothing
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'k1','nn',1,1,'2') ON CONFLICT (code) DO NOTHING RETURNING *;

-- conflict.cols-update
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'k1','nn',1,1,'3') ON CONFLICT (code) DO UPDATE SET name=excluded.name, x=excluded.x RETURNING *;

-- conflict.pk-update
INSERT INTO item (id,code,name,x) VALUES (1,'k1','up','3') ON CONFLICT (id) DO UPDATE SET name=excluded.name, x=excluded.x, qty=item.qty+1 RETURNING *;

-- conflict.pk-update-new
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',1,1,'3') ON CONFLICT (id) DO UPDATE SET x=excluded.x RETURNING *;

-- conflict.where
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'k1','nn',1,1,'3') ON CONFLICT (code) DO UPDATE SET x=excluded.x WHERE item.x IS DISTINCT FROM excluded.x RETURNING id;

-- conflict.multi
INSERT INTO item (id,code,x) VALUES (1,'k1','3'),(201,'new','2') ON CONFLICT (id) DO UPDATE SET x=excluded.x RETURNING id,x;

-- conflict.twice
INSERT INTO item (id,code,x) VALUES (1,'k1','3'),(1,'k1','2') ON CONFLICT (id) DO UPDATE SET x=excluded.x;

-- conflict.constraint-nothing
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'k1','nn',1,1,'2') ON CONFLICT ON CONSTRAINT item_code_key DO NOTHING;

-- conflict.constraint-update
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'k1','nn',1,1,'2') ON CONFLICT ON CONSTRAINT item_code_key DO UPDATE SET x=excluded.x RETURNING *;

-- conflict.other-violation
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',0,1,'2') ON CONFLICT DO NOTHING;

-- conflict.no-such-index
INSERT INTO item (id,code,name,qty,cat_id,x) VALUES (201,'a','nn',1,1,'2') ON CONFLICT (name) DO NOTHING;

-- conflict.xmax-trick
INSERT INTO item (id,code) VALUES (1,'k1') ON CONFLICT (id) DO UPDATE SET name='z' RETURNING (xmax=0) AS inserted;

## MERGE

-- merge.upsert
MERGE INTO item t USING (VALUES (1,'k1','3'),(201,'a','2')) s(id,code,x) ON t.id=s.id WHEN MATCHED THEN UPDATE SET name='m' WHEN NOT MATCHED THEN INSERT (id,code) VALUES (s.id,s.code);

-- merge.delete
MERGE INTO item t USING cat s ON t.id=s.id+3 WHEN MATCHED AND t.id=4 THEN DELETE;

-- merge.returning
MERGE INTO item t USING (VALUES (1,'k1')) s(id,code) ON t.id=s.id WHEN MATCHED THEN UPDATE SET name='m' RETURNING merge_action(), t.*;

-- merge.as-source
MERGE INTO archive t USING item s ON t.id=s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id,s.name);

## locks, two sessions

-- lock.for-update
SELECT id,x FROM item WHERE id=1 FOR UPDATE;

-- lock.for-no-key-update
SELECT id FROM item WHERE id=1 FOR NO KEY UPDATE;

-- lock.for-share
SELECT id FROM item WHERE id=1 FOR SHARE;

-- lock.for-key-share
SELECT id FROM item WHERE id=1 FOR KEY SHARE;

-- lock.for-update-of
SELECT i.id FROM item i JOIN cat c ON c.id=i.cat_id WHERE i.id=1 FOR UPDATE OF i;

-- lock.for-update-join-all
SELECT i.id FROM item i JOIN cat c ON c.id=i.cat_id WHERE i.id=1 FOR UPDATE;

-- lock.for-update-outer
SELECT i.id FROM item i LEFT JOIN cat c ON c.id=i.cat_id WHERE i.id=1 FOR UPDATE OF i;

-- lock.nowait-busy
other: UPDATE item SET name='busy' WHERE id=1;
SELECT id FROM item WHERE id=1 FOR UPDATE NOWAIT;

-- lock.skip-locked-busy
other: SELECT id FROM item WHERE id=1 FOR UPDATE;
SELECT id FROM item ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED;

-- lock.skip-locked-after-update
other: UPDATE item SET name='busy' WHERE id=1;
SELECT id FROM item ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED;

-- lock.timeout
other: UPDATE item SET x='3' WHERE id=1;
SET LOCAL lock_timeout='100ms';
UPDATE item SET x='2' WHERE id=1;

-- lock.wait-then-commit
other: UPDATE item SET qty=qty+10 WHERE id=1;
meanwhile: COMMIT;
UPDATE item SET qty=qty+1 WHERE id=1 RETURNING qty;

-- lock.wait-x-then-commit
other: UPDATE item SET x='3' WHERE id=1;
meanwhile: COMMIT;
UPDATE item SET x='2' WHERE id=1 RETURNING qty,x;

-- lock.wait-x-name-then-commit
other: UPDATE item SET x='3' WHERE id=1;
meanwhile: COMMIT;
UPDATE item SET name='late' WHERE id=1 RETURNING name,x;

-- lock.wait-delete
other: DELETE FROM item WHERE id=4;
meanwhile: COMMIT;
UPDATE item SET x='2' WHERE id=4 RETURNING id;

-- lock.delete-wait-update
other: UPDATE item SET x='3' WHERE id=4;
meanwhile: COMMIT;
DELETE FROM item WHERE id=4 RETURNING id;

-- lock.for-update-wait
other: UPDATE item SET x='3',qty=50 WHERE id=1;
meanwhile: COMMIT;
SELECT id,x,qty FROM item WHERE id=1 FOR UPDATE;
UPDATE item SET qty=qty+1 WHERE id=1 RETURNING *;

-- lock.dup-insert-wait
other: INSERT INTO item (id,code,x) VALUES (201,'dup','1');
meanwhile: COMMIT;
INSERT INTO item (id,code,x) VALUES (202,'dup','2');

-- lock.rr-update-changed
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM item;
other: UPDATE item SET x='3' WHERE id=1;
other: COMMIT;
UPDATE item SET name='rr' WHERE id=1;

-- lock.table
LOCK TABLE item IN SHARE ROW EXCLUSIVE MODE;

-- lock.table-busy
other: UPDATE item SET name='b' WHERE id=1;
LOCK TABLE item IN ACCESS EXCLUSIVE MODE NOWAIT;

## COPY

-- copy.to
COPY item (id,code,x) TO STDOUT;

-- copy.to-all
COPY item TO STDOUT (FORMAT csv, HEADER);

-- copy.to-query
COPY (SELECT * FROM item ORDER BY id) TO STDOUT;

-- copy.from
COPY item (id,code,name,x) FROM STDIN (FORMAT csv);
in: 201,a,q,1;
in: 202,b,q,2;
SELECT id,code,x FROM item ORDER BY id;

## TRUNCATE

-- truncate.plain
TRUNCATE item;

-- truncate.cascade
TRUNCATE item CASCADE;
SELECT count(*) FROM item;

-- truncate.restart
TRUNCATE item RESTART IDENTITY CASCADE;

-- truncate.many
TRUNCATE archive, entry, item CASCADE;

## DDL on it

-- ddl.fk-to
CREATE TABLE public.z (item_id int REFERENCES item);

-- ddl.index
CREATE INDEX ON item (name);

-- ddl.analyze
ANALYZE item;

-- ddl.trigger
CREATE FUNCTION pg_temp.tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER tg BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION pg_temp.tf();

-- ddl.disable-triggers
ALTER TABLE item DISABLE TRIGGER ALL;
ALTER TABLE item ENABLE TRIGGER ALL;

-- ddl.replica-role
SET LOCAL session_replication_role = replica;
INSERT INTO item (id,code,cat_id,x) VALUES (201,'a',77,'1') RETURNING *;

## rights

-- grant.select-only
GRANT USAGE ON SCHEMA public TO test_stranger;
GRANT SELECT ON item TO test_stranger;
SET LOCAL ROLE test_stranger;
SELECT count(*) FROM item;
SAVEPOINT s;
INSERT INTO item (id,code) VALUES (201,'a');

-- grant.update-column
GRANT SELECT, UPDATE (name) ON item TO test_stranger;
SET LOCAL ROLE test_stranger;
UPDATE item SET name='g' WHERE id=1;
SAVEPOINT s;
UPDATE item SET x='2' WHERE id=1;

-- grant.before
SET LOCAL ROLE test_writer;
SELECT count(*) FROM item;
UPDATE item SET x='2',name='w' WHERE id=1 RETURNING id;
INSERT INTO item (id,code,x) VALUES (201,'a','1') RETURNING id;
DELETE FROM item WHERE id=4;

-- grant.before-read
SET LOCAL ROLE test_reader;
SELECT count(*) FROM item;
UPDATE item SET name='w' WHERE id=1;

-- grant.has-privilege
SELECT has_table_privilege('test_writer','item','INSERT,UPDATE'), has_table_privilege('test_reader','item','UPDATE'), has_column_privilege('test_writer','item','name','UPDATE');

## savepoints

-- savepoint.error
SAVEPOINT a;
INSERT INTO item (id,code) VALUES (1,'zz');
ROLLBACK TO a;
INSERT INTO item (id,code,x) VALUES (201,'a','1') RETURNING id,x;
SELECT count(*) FROM item;

-- savepoint.rollback-write
UPDATE item SET x='3' WHERE id=1;
SAVEPOINT a;
UPDATE item SET x='2' WHERE id=1;
ROLLBACK TO a;
SELECT x FROM item WHERE id=1;
UPDATE item SET x='1' WHERE id=1 RETURNING x;

-- savepoint.update-in-sub
SAVEPOINT a;
UPDATE item SET x='3', qty=qty+1 WHERE id=1;
RELEASE a;
SAVEPOINT b;
UPDATE item SET x='2', qty=qty+1 WHERE id=1 RETURNING qty;
RELEASE b;
SELECT * FROM item WHERE id=1;

-- savepoint.plpgsql-exception
DO $$ BEGIN BEGIN INSERT INTO item (id,code) VALUES (1,'zz'); EXCEPTION WHEN unique_violation OR not_null_violation THEN NULL; END; UPDATE item SET name='after' WHERE id=1; END $$;
SELECT name FROM item WHERE id=1;

## prepared statements

-- prepared.crud
PREPARE p1(int,text) AS UPDATE item SET x=$2 WHERE id=$1 RETURNING *;
EXECUTE p1(1,'2');
EXECUTE p1(2,'3');
PREPARE p2 AS SELECT * FROM item WHERE x=$1;
EXECUTE p2('3');
DEALLOCATE ALL;

## the catalogue

-- catalog.columns
SELECT column_name, data_type, udt_name, is_nullable, character_maximum_length FROM information_schema.columns WHERE table_name='item' AND table_schema = (SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid=relnamespace WHERE c.oid='item'::regclass) ORDER BY ordinal_position;

-- catalog.nullable
SELECT attname, attnotnull FROM pg_attribute WHERE attrelid='item'::regclass AND attnum>0 AND NOT attisdropped ORDER BY attname;

-- catalog.defaults
SELECT column_name, column_default IS NOT NULL, is_identity FROM information_schema.columns WHERE table_name='item' AND table_schema = (SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid=relnamespace WHERE c.oid='item'::regclass) ORDER BY 1;

-- catalog.types
SELECT attname, format_type(atttypid,atttypmod) FROM pg_attribute WHERE attrelid='item'::regclass AND attnum>0 AND NOT attisdropped ORDER BY attnum;

-- catalog.pk
SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid=i.indrelid AND a.attnum=ANY(i.indkey) WHERE i.indrelid='item'::regclass AND i.indisprimary;

-- catalog.table-type
SELECT table_type FROM information_schema.tables WHERE table_name='item' AND table_schema = ANY(current_schemas(false)) ORDER BY 1;

-- catalog.constraints
SELECT constraint_type, count(*) FROM information_schema.table_constraints WHERE table_name='item' GROUP BY 1 ORDER BY 1;

-- catalog.fks
SELECT conname, confrelid::regclass::text FROM pg_constraint WHERE conrelid='item'::regclass AND contype='f' ORDER BY 1;

-- catalog.indexes
SELECT count(*) FROM pg_indexes WHERE tablename='item';

-- catalog.serial-sequence
SELECT pg_get_serial_sequence('item','id') IS NOT NULL;

-- catalog.comment
SELECT obj_description('item'::regclass), col_description('item'::regclass,2);

-- catalog.relkind
SELECT relkind::text FROM pg_class WHERE oid='item'::regclass;

-- catalog.is-updatable
SELECT is_insertable_into FROM information_schema.tables WHERE table_name='item' AND table_schema = (SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid=relnamespace WHERE c.oid='item'::regclass);
