CREATE ROLE "Nasty Role";
CREATE SCHEMA "Na sty";
COMMENT ON SCHEMA "Na sty" IS 'refactor: only the name decides';
CREATE SCHEMA next_user;
CREATE SCHEMA next_1;
COMMENT ON SCHEMA next_1 IS 'refactor: version 1';
CREATE SCHEMA refactor;
CREATE SCHEMA next;
CREATE EXTENSION citext SCHEMA next_user;
SET LOCAL search_path = "Na sty", missing, public;

CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE DOMAIN texty AS text COLLATE "C";
CREATE DOMAIN jsony AS json;
CREATE DOMAIN points AS point[];
CREATE TYPE good AS (a int, b texty);
CREATE TYPE bad AS (a int, b jsony);
CREATE TABLE types (
  a1 text, a2 varchar(40), a3 char(3), a4 "char", a5 name, a6 int, a7 numeric(10, 2), a8 timestamptz(3),
  b1 json, b2 jsonb, b3 xml, b4 point, b5 json[], b6 text[][], b7 mood, b8 mood[], b9 box,
  c1 texty, c2 jsony, c3 points, c4 good, c5 bad, c6 good[], c7 bad[], c8 texty[], c9 jsony[],
  d1 int4range, d2 int4multirange, d3 next_user.citext, d4 int2vector, d5 oidvector, d6 regclass, d7 xid, d8 bit(3),
  d9 cidr, e1 uuid, e2 tsvector, e3 tsquery, e4 pg_lsn, e5 circle, e6 mood, e7 int4range[], e8 point[], e9 next_user.citext[]
);

CREATE TABLE parent1 (id int, note text DEFAULT 'x', CONSTRAINT positive CHECK (id > 0));
CREATE TABLE parent2 (id int, extra text);
CREATE TABLE heir (own int) INHERITS (parent2, parent1);

CREATE TABLE parts (
  id int NOT NULL, at date NOT NULL, "K ey" text NOT NULL, who text, n int DEFAULT 7,
  CONSTRAINT parts_n CHECK (n > 0)
) PARTITION BY RANGE (at, lower("K ey" || who));
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01', 'a') TO ('2021-01-01', 'a') PARTITION BY LIST (id);
CREATE TABLE parts_1_1 PARTITION OF parts_1 DEFAULT;
CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
CREATE INDEX parts_at ON parts (at);
CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER cloned AFTER UPDATE OF who ON parts FOR EACH ROW WHEN (OLD.n <> NEW.n) EXECUTE FUNCTION tf();
COMMENT ON TRIGGER cloned ON parts IS 'trigger';
INSERT INTO parts VALUES (1, '2020-05-05', 'b', 'c'), (2, '2030-05-05', 'b', 'c'), (3, '2030-05-05', 'b', 'c');
ANALYZE parts, parts_1_1, parts_2;

CREATE TABLE keyed (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE keyed_1 PARTITION OF keyed FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');

CREATE TABLE "T" (
  "Id" bigint GENERATED ALWAYS AS IDENTITY,
  "select" text NOT NULL DEFAULT 'it''s',
  b text, c text, d text,
  gone int,
  long text GENERATED ALWAYS AS (upper(b) || c) STORED,
  s serial,
  day date,
  during int4range,
  CONSTRAINT "T pk" PRIMARY KEY ("Id") INCLUDE (b),
  CONSTRAINT two CHECK (b <> c AND d <> ''),
  CONSTRAINT "far" FOREIGN KEY (s, day) REFERENCES keyed (id, day) MATCH FULL ON UPDATE RESTRICT ON DELETE SET DEFAULT,
  CONSTRAINT uni UNIQUE (c, b) DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT apart EXCLUDE USING gist (during WITH &&, box(point(length(b), 0)) WITH &&) WHERE (c IS NOT NULL)
) WITH (fillfactor = 60, toast.autovacuum_enabled = false);
ALTER TABLE "T" DROP COLUMN gone;
ALTER TABLE "T" ADD CONSTRAINT late CHECK (s > 0) NOT VALID;
ALTER TABLE "T" ALTER b SET (n_distinct = 5), ALTER b SET COMPRESSION pglz, ALTER b SET STORAGE MAIN, ALTER b SET STATISTICS 0;
COMMENT ON CONSTRAINT two ON "T" IS 'constraint';
COMMENT ON COLUMN "T".b IS 'field';
CREATE UNIQUE INDEX expr ON "T" ((b || c) DESC, "select", (day + 1)) INCLUDE (s) WHERE d > 'm';
ALTER INDEX expr ALTER COLUMN 3 SET STATISTICS 33;
CREATE UNIQUE INDEX ident ON "T" (s);
ALTER TABLE "T" ALTER s SET NOT NULL, REPLICA IDENTITY USING INDEX ident;
CREATE STATISTICS next_user.st (dependencies) ON c, (lower(b)), day FROM "T";
ALTER STATISTICS next_user.st SET STATISTICS 44;
CREATE STATISTICS refactor.st (dependencies) ON c, d FROM "T";
CREATE STATISTICS st2 ON (b || d) FROM "T";
CREATE CONSTRAINT TRIGGER checked AFTER INSERT ON "T" DEFERRABLE FOR EACH ROW EXECUTE FUNCTION tf();
CREATE TRIGGER "!refactor_put" BEFORE UPDATE ON "T" FOR EACH ROW EXECUTE FUNCTION tf();
CREATE RULE copy AS ON UPDATE TO "T" WHERE OLD.b <> NEW.c DO ALSO INSERT INTO parent1 (id) VALUES (NEW.s);
CREATE POLICY "P 1" ON "T" AS RESTRICTIVE FOR UPDATE TO "Nasty Role", CURRENT_USER
  USING (EXISTS (SELECT FROM parent1 AS p WHERE p.note = "T".b)) WITH CHECK (c > 'a');
COMMENT ON POLICY "P 1" ON "T" IS 'policy';
GRANT SELECT ON "T" TO PUBLIC;
GRANT UPDATE (b), SELECT (b) ON "T" TO "Nasty Role" WITH GRANT OPTION;
REVOKE ALL ON parent2 FROM CURRENT_USER;
CREATE PUBLICATION nasty FOR TABLE "T", parent1;
CREATE PUBLICATION everything FOR ALL TABLES;

CREATE VIEW simple AS SELECT b, "Id" AS x FROM "T" AS t JOIN parent1 ON true;
CREATE VIEW upon AS SELECT x FROM simple;
CREATE MATERIALIZED VIEW mat AS SELECT t AS whole FROM "T" AS t;
CREATE INDEX mat_i ON mat ((whole IS NULL));
CREATE FUNCTION whole(t "T", VARIADIC more "T"[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION atomic() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT c FROM "T" WHERE d = ''; END;
CREATE PROCEDURE proc() LANGUAGE sql AS 'SELECT 2';
CREATE AGGREGATE agg (int) (sfunc = int4pl, stype = int);
CREATE UNLOGGED TABLE uses_row (one "T", many "T"[]);
CREATE POLICY own ON "T" USING (("T".*)::"T" IS NOT NULL);
ALTER TABLE "T" ADD CHECK (("T".*)::"T" IS NOT NULL);

CREATE TEMP TABLE fleeting (t "T");
CREATE TEMP VIEW fleeting_view AS SELECT b FROM "T";
CREATE VIEW next.v AS SELECT t, b FROM "T" AS t;
CREATE FUNCTION refactor.f("T") RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE refactor.points_back (id bigint REFERENCES "T");
CREATE TABLE next_1.inherits () INHERITS (parent1);
CREATE VIEW next_user.reads_next AS SELECT b FROM next.v;
CREATE TABLE next_user.empty ();
ALTER EXTENSION citext ADD TABLE next_user.empty;
