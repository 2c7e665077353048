CREATE TABLE refactor.anew_objects (
  object oid PRIMARY KEY, name text NOT NULL, kind "char" NOT NULL, rank int NOT NULL DEFAULT 0, head text, body text,
  stands boolean NOT NULL DEFAULT false, is_over boolean NOT NULL DEFAULT false
);
CREATE TABLE refactor.anew_statements (
  phase int NOT NULL, rank int NOT NULL, at int GENERATED ALWAYS AS IDENTITY, name text NOT NULL, sql text NOT NULL
);
CREATE FUNCTION refactor.anew_absent(name text) RETURNS boolean LANGUAGE plpgsql AS {{ crate::name::BODY }}
BEGIN
  RAISE EXCEPTION '% is being made anew', name;
END
{{ crate::name::BODY }};
CREATE FUNCTION refactor.anew_role(role oid) RETURNS text LANGUAGE sql SET search_path = pg_catalog, pg_temp AS {{ crate::name::BODY }}
  SELECT CASE role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END
{{ crate::name::BODY }};
-- Default privileges may have given others rights to what is new.
CREATE FUNCTION refactor.anew_grants(named regclass, wanted aclitem[]) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS {{ crate::name::BODY }}
DECLARE
  g record;
BEGIN
  IF (SELECT relacl FROM pg_class WHERE oid = named) IS NOT DISTINCT FROM wanted THEN
    RETURN;
  END IF;
  FOR g IN SELECT DISTINCT e.grantee FROM pg_class AS c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS e WHERE c.oid = named LOOP
    EXECUTE format('REVOKE ALL ON %s FROM %s', named, refactor.anew_role(g.grantee));
  END LOOP;
  FOR g IN SELECT e.* FROM pg_class AS c, aclexplode(coalesce(wanted, acldefault('r', c.relowner))) AS e WHERE c.oid = named LOOP
    EXECUTE format('GRANT %s ON %s TO %s', g.privilege_type, named, refactor.anew_role(g.grantee) || CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
  END LOOP;
END
{{ crate::name::BODY }};
CREATE FUNCTION refactor.anew_options(options text[]) RETURNS text LANGUAGE sql SET search_path = pg_catalog, pg_temp AS {{ crate::name::BODY }}
  SELECT coalesce(' WITH (' || string_agg(format('%I = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') || ')', '')
  FROM unnest(options) AS o
{{ crate::name::BODY }};
-- Writes down how a view is made that is dropped: 1 it, 2 functions, 3 its rows, 4 its indexes.
CREATE FUNCTION refactor.anew_keep(which oid) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS {{ crate::name::BODY }}
DECLARE
  v record;
  kind text;
BEGIN
  SELECT c.*, o.rank, o.name, o.head, coalesce(o.body, rtrim(pg_get_viewdef(c.oid), ';')) AS body, a.amname, s.spcname
  INTO v
  FROM pg_class AS c JOIN refactor.anew_objects AS o ON o.object = c.oid
  LEFT JOIN pg_am AS a ON a.oid = c.relam LEFT JOIN pg_tablespace AS s ON s.oid = c.reltablespace
  WHERE c.oid = which;
  kind := CASE v.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END;
  INSERT INTO refactor.anew_statements (phase, rank, name, sql)
  SELECT l.phase, v.rank, v.name, l.sql
  FROM (
    SELECT 1 AS phase, 1 AS part, 0 AS n, coalesce(v.head || v.body, format('CREATE %s %s%s%s%s AS %s%s', kind, v.name, ' USING ' || quote_ident(v.amname),
      refactor.anew_options(v.reloptions), ' TABLESPACE ' || quote_ident(v.spcname), v.body, CASE v.relkind WHEN 'm' THEN ' WITH NO DATA' END)) AS sql
    UNION ALL
    SELECT 1, 2, 0, format('ALTER TABLE %s OWNER TO %I', v.name, pg_get_userbyid(v.relowner))
    UNION ALL
    SELECT 1, 3, 0, format('SELECT refactor.anew_grants(%L, %L)', v.name, v.relacl)
    UNION ALL
    SELECT 1, 4, a.attnum, format('GRANT %s (%I) ON %s TO %s', g.privilege_type, a.attname, v.name,
      refactor.anew_role(g.grantee) || CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM pg_attribute AS a, aclexplode(a.attacl) AS g WHERE a.attrelid = which
    UNION ALL
    SELECT 1, 5, d.objsubid, CASE d.objsubid WHEN 0 THEN format('COMMENT ON %s %s IS %L', kind, v.name, d.description)
      ELSE format('COMMENT ON COLUMN %s.%I IS %L', v.name, a.attname, d.description) END
    FROM pg_description AS d LEFT JOIN pg_attribute AS a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
    WHERE d.classoid = 'pg_class'::regclass AND d.objoid = which
    UNION ALL
    SELECT 1, 6, l.objsubid, CASE l.objsubid WHEN 0 THEN format('SECURITY LABEL FOR %I ON %s %s IS %L', l.provider, kind, v.name, l.label)
      ELSE format('SECURITY LABEL FOR %I ON COLUMN %s.%I IS %L', l.provider, v.name, a.attname, l.label) END
    FROM pg_seclabel AS l LEFT JOIN pg_attribute AS a ON a.attrelid = l.objoid AND a.attnum = l.objsubid AND l.objsubid > 0
    WHERE l.classoid = 'pg_class'::regclass AND l.objoid = which
    UNION ALL
    SELECT 1, 7, d.adnum, format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', v.name, a.attname, pg_get_expr(d.adbin, d.adrelid))
    FROM pg_attrdef AS d JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = which
    UNION ALL
    SELECT 1, 8, a.attnum, format('ALTER TABLE %s ALTER COLUMN %I %s', v.name, a.attname, x.what)
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    CROSS JOIN LATERAL (VALUES
      (CASE WHEN a.attstattarget >= 0 THEN 'SET STATISTICS ' || a.attstattarget END),
      ('SET' || nullif(replace(refactor.anew_options(a.attoptions), ' WITH ', ' '), '')),
      (CASE WHEN a.attstorage <> t.typstorage THEN 'SET STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END),
      (CASE a.attcompression WHEN 'p' THEN 'SET COMPRESSION pglz' WHEN 'l' THEN 'SET COMPRESSION lz4' END)
    ) AS x (what)
    WHERE a.attrelid = which AND v.relkind = 'm' AND a.attnum > 0 AND x.what IS NOT NULL
    UNION ALL
    SELECT 1, 9, x.n, x.sql
    FROM (
      SELECT pg_get_triggerdef(t.oid) AS made, format('COMMENT ON TRIGGER %I ON %s IS ', t.tgname, v.name) AS comment, obj_description(t.oid, 'pg_trigger') AS text
      FROM pg_trigger AS t WHERE t.tgrelid = which AND NOT t.tgisinternal
      UNION ALL
      SELECT pg_get_ruledef(r.oid), format('COMMENT ON RULE %I ON %s IS ', r.rulename, v.name), obj_description(r.oid, 'pg_rewrite')
      FROM pg_rewrite AS r WHERE r.ev_class = which AND r.rulename <> '_RETURN'
    ) AS o
    CROSS JOIN LATERAL (VALUES (1, o.made), (2, o.comment || quote_literal(o.text))) AS x (n, sql)
    UNION ALL
    SELECT 3, 1, 0, format('REFRESH MATERIALIZED VIEW %s', v.name) WHERE v.relkind = 'm' AND v.relispopulated
    UNION ALL
    SELECT 4, 1, x.n, x.sql
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    CROSS JOIN LATERAL (VALUES
      (1, pg_get_indexdef(i.indexrelid) || coalesce((SELECT ' TABLESPACE ' || quote_ident(s.spcname) FROM pg_tablespace AS s WHERE s.oid = c.reltablespace), '')),
      (2, format('COMMENT ON INDEX %s IS ', i.indexrelid::regclass) || quote_literal(obj_description(i.indexrelid, 'pg_class'))),
      (3, CASE WHEN i.indisclustered THEN format('ALTER MATERIALIZED VIEW %s CLUSTER ON %I', v.name, c.relname) END),
      (4, CASE WHEN i.indisreplident THEN format('ALTER MATERIALIZED VIEW %s REPLICA IDENTITY USING INDEX %I', v.name, c.relname) END)
    ) AS x (n, sql)
    WHERE i.indrelid = which AND x.sql IS NOT NULL
    UNION ALL
    SELECT 4, 2, x.n, x.sql
    FROM pg_statistic_ext AS s
    CROSS JOIN LATERAL (VALUES
      (1, pg_get_statisticsobjdef(s.oid)),
      (2, format('COMMENT ON STATISTICS %I.%I IS ', s.stxnamespace::regnamespace, s.stxname) || quote_literal(obj_description(s.oid, 'pg_statistic_ext')))
    ) AS x (n, sql)
    WHERE s.stxrelid = which AND x.sql IS NOT NULL
  ) AS l
  WHERE l.sql IS NOT NULL
  ORDER BY l.phase, l.part, l.n;
END
{{ crate::name::BODY }};
-- Lets an object be there, with all that is its own, and read nothing.
CREATE FUNCTION refactor.anew_detach(which oid) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET check_function_bodies = false AS {{ crate::name::BODY }}
DECLARE
  o record;
  made text;
BEGIN
  SELECT * INTO o FROM refactor.anew_objects WHERE object = which;
  IF o.kind = 'f' THEN
    made := pg_get_functiondef(which);
    made := left(rtrim(made, E'\n'), -length(rtrim(pg_get_function_sqlbody(which), E'\n')));
    EXECUTE format('%s AS %L', made, format('SELECT refactor.anew_absent(%L)', o.name));
  ELSE
    SELECT format('CREATE OR REPLACE VIEW %s%s AS ', o.name, refactor.anew_options(
      -- What reads the rows where they are then can be written no more.
      CASE WHEN o.is_over THEN ARRAY(SELECT x FROM unnest(c.reloptions) AS x WHERE NOT starts_with(x, 'check_option=')) ELSE c.reloptions END
    )) INTO made FROM pg_class AS c WHERE c.oid = which;
    EXECUTE format('CREATE OR REPLACE VIEW %s AS SELECT %s WHERE refactor.anew_absent(%L)', o.name, (
      SELECT string_agg(format('NULL::%s%s AS %I', format_type(a.atttypid, a.atttypmod),
        (SELECT format(' COLLATE %I.%I', l.collnamespace::regnamespace, l.collname) FROM pg_collation AS l WHERE l.oid = a.attcollation), a.attname), ', ' ORDER BY a.attnum)
      FROM pg_attribute AS a WHERE a.attrelid = which AND a.attnum > 0
    ), o.name);
  END IF;
  UPDATE refactor.anew_objects SET head = made, stands = true WHERE object = which;
END
{{ crate::name::BODY }};
-- Takes views down, with all that reads them, after writing down how they are made.
CREATE FUNCTION refactor.anew_take(roots oid[]) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS {{ crate::name::BODY }}
DECLARE
  v record;
  f record;
  taken oid[];
BEGIN
  WITH RECURSIVE above (object) AS (
    SELECT unnest(roots)
    UNION
    SELECT w.ev_class
    FROM above AS a
    JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.object AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite AS w ON w.oid = d.objid AND w.rulename = '_RETURN'
  )
  SELECT array_agg(a.object) INTO taken FROM above AS a;
  FOR v IN SELECT object FROM refactor.anew_objects WHERE object = ANY (taken) ORDER BY rank LOOP
    PERFORM refactor.anew_keep(v.object);
  END LOOP;
  FOR f IN
    SELECT DISTINCT p.oid, p.oid::regprocedure::text AS name
    FROM pg_depend AS d JOIN pg_proc AS p ON p.oid = d.objid
    WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (taken) AND p.prosqlbody IS NOT NULL
  LOOP
    INSERT INTO refactor.anew_objects (object, name, kind, body) VALUES (f.oid, f.name, 'f', pg_get_function_sqlbody(f.oid)) ON CONFLICT DO NOTHING;
    PERFORM refactor.anew_detach(f.oid);
    UPDATE refactor.anew_objects SET stands = false WHERE object = f.oid;
    INSERT INTO refactor.anew_statements (phase, rank, name, sql)
    SELECT 2, 0, o.name, o.head || o.body FROM refactor.anew_objects AS o WHERE o.object = f.oid;
  END LOOP;
  FOR v IN
    SELECT c.oid::regclass AS name, c.relkind
    FROM pg_class AS c JOIN refactor.anew_objects AS o ON o.object = c.oid
    WHERE c.oid = ANY (taken) ORDER BY o.rank DESC
  LOOP
    EXECUTE format('DROP %s %s', CASE v.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, v.name);
  END LOOP;
END
{{ crate::name::BODY }};
-- Every view has its place: after those that it reads.
CREATE FUNCTION refactor.anew_rank(functions oid[]) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS {{ crate::name::BODY }}
BEGIN
  INSERT INTO refactor.anew_objects (object, name, kind) SELECT oid, oid::regclass, relkind FROM pg_class WHERE relkind IN ('v', 'm') AND oid >= 16384;
  INSERT INTO refactor.anew_objects (object, name, kind) SELECT oid, oid::regprocedure, 'f' FROM pg_proc WHERE oid = ANY (functions);
  LOOP
    UPDATE refactor.anew_objects AS o
    SET rank = b.rank
    FROM (
      SELECT w.ev_class AS object, max(below.rank) + 1 AS rank
      FROM pg_rewrite AS w
      JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> w.ev_class
      JOIN refactor.anew_objects AS below ON below.object = d.refobjid
      WHERE w.rulename = '_RETURN'
      GROUP BY w.ev_class
    ) AS b
    WHERE b.object = o.object AND o.rank < b.rank;
    EXIT WHEN NOT FOUND;
  END LOOP;
END
{{ crate::name::BODY }};
-- The texts of those that are made anew, with the names of now.
CREATE FUNCTION refactor.anew_texts(which oid[]) RETURNS TABLE (object oid, body text) LANGUAGE sql SET search_path = pg_catalog, pg_temp AS {{ crate::name::BODY }}
  SELECT o.object, CASE o.kind WHEN 'f' THEN rtrim(pg_get_function_sqlbody(o.object), E'\n') ELSE rtrim(pg_get_viewdef(o.object), ';') END
  FROM refactor.anew_objects AS o WHERE o.object = ANY (which)
{{ crate::name::BODY }};
DO {{ crate::name::BODY }}
DECLARE
  dropped CONSTANT text[] := ARRAY[{{ dropped }}]::text[];
  -- With the names that they have now, and with these bodies.
  anew CONSTANT oid[] := ARRAY[{{ anew }}]::oid[];
  over CONSTANT oid[] := ARRAY[{{ over }}]::oid[];
  bodies CONSTANT text[] := ARRAY[{{ bodies }}]::text[];
  o record;
  objects oid[];
  texts text[];
BEGIN
  PERFORM refactor.anew_rank(anew || over);
  FOR o IN
    SELECT i.type, i.name, i.object
    FROM pg_catalog.unnest(dropped) AS d (identity)
    CROSS JOIN LATERAL (
      SELECT 'ROUTINE' AS type, d.identity AS name, NULL::oid AS object WHERE pg_catalog.strpos(d.identity, '(') > 0
      UNION ALL
      SELECT CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, d.identity, c.oid
      FROM pg_catalog.pg_class AS c WHERE pg_catalog.strpos(d.identity, '(') = 0 AND c.oid = d.identity::regclass
    ) AS i
    LEFT JOIN refactor.anew_objects AS a ON a.object = i.object
    ORDER BY a.rank DESC NULLS FIRST
  LOOP
    EXECUTE pg_catalog.format('DROP %s %s', o.type, o.name);
  END LOOP;
  UPDATE refactor.anew_objects AS a SET body = t.body, is_over = true FROM ROWS FROM (pg_catalog.unnest(over), pg_catalog.unnest(bodies)) AS t (object, body) WHERE t.object = a.object;
  -- PostgreSQL itself puts the new names into the texts.
  BEGIN
{{ renames }}
    SELECT pg_catalog.array_agg(t.object), pg_catalog.array_agg(t.body) INTO objects, texts FROM refactor.anew_texts(anew) AS t;
    RAISE EXCEPTION USING ERRCODE = 'RF000';
  EXCEPTION
    WHEN SQLSTATE 'RF000' THEN
      NULL;
  END;
  UPDATE refactor.anew_objects AS a SET body = t.body FROM ROWS FROM (pg_catalog.unnest(objects), pg_catalog.unnest(texts)) AS t (object, body) WHERE t.object = a.object;
  PERFORM refactor.anew_take((SELECT pg_catalog.array_agg(a.object) FROM refactor.anew_objects AS a WHERE a.kind = 'm' AND a.body IS NOT NULL));
  FOR o IN
    SELECT a.object FROM refactor.anew_objects AS a
    WHERE a.body IS NOT NULL AND a.head IS NULL
      AND (a.kind = 'f' OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = a.object AND c.relkind = 'v'))
    ORDER BY a.rank
  LOOP
    PERFORM refactor.anew_detach(o.object);
  END LOOP;
END
{{ crate::name::BODY }};
