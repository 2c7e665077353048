DO {{ crate::name::BODY }}
DECLARE
  part record;
BEGIN
  -- A name in our schema that an earlier kept table has already: indexes and sequences go there with their table.
  FOR part IN
    SELECT c.relkind, c.oid::regclass AS now, left(c.relname, 40) || '_' || c.oid AS free
    FROM pg_class AS c
    WHERE (c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = {{ literal }}::regclass)
        OR c.oid IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass
             AND refobjid = {{ literal }}::regclass AND deptype IN ('a', 'i') AND refobjsubid > 0) AND c.relkind = 'S')
      AND EXISTS (SELECT FROM pg_class AS other WHERE other.relnamespace = 'refactor'::regnamespace AND other.relname = c.relname)
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
