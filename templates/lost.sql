DO {{ crate::name::BODY }}
DECLARE
  part record;
BEGIN
  -- A name in our schema that another table has already: indexes and sequences go there with their table. A floor gives way,
  -- since it does not last; an earlier kept table does not.
  FOR part IN
    SELECT g.relkind, g.oid::regclass AS now, left(g.relname, 40) || '_' || g.oid AS free
    FROM pg_class AS c
    LEFT JOIN pg_class AS other ON other.relnamespace = 'refactor'::regnamespace AND other.relname = c.relname
    LEFT JOIN pg_index AS i ON i.indexrelid = other.oid
    LEFT JOIN pg_class AS floor ON floor.oid = i.indrelid AND floor.relname LIKE 'floor\_%'
    JOIN pg_class AS g ON g.oid = CASE WHEN floor.oid IS NULL THEN c.oid ELSE other.oid END
    WHERE (c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = {{ literal }}::regclass)
        OR c.oid IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
             AND refobjid = {{ literal }}::regclass AND deptype IN ('a', 'i') AND refobjsubid > 0) AND c.relkind = 'S')
      AND other.oid IS NOT NULL
      AND c.relnamespace <> 'refactor'::regnamespace
  LOOP
    EXECUTE pg_catalog.format('ALTER %s %s RENAME TO %I', CASE part.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'INDEX' END, part.now, part.free);
  END LOOP;
END
{{ crate::name::BODY }};
{%- for line in before %}
{{ line }};
{%- endfor %}
ALTER TABLE {{ table }} RENAME TO {{ lost.name }};
{%- if table.schema != lost.schema %}
ALTER TABLE {{ table.schema }}.{{ lost.name }} SET SCHEMA {{ lost.schema }};
{%- endif %}
