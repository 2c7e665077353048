DO {{ crate::name::BODY }}
DECLARE
  taken record;
BEGIN
  -- A table that is kept may still have these names.
  FOR taken IN
    SELECT c.oid::regclass AS now, left(c.relname, 40) || '_' || c.oid AS free FROM pg_class AS c
    WHERE c.relnamespace = 'refactor'::regnamespace AND c.relkind IN ('i', 'S') AND c.relname IN ({{ names }})
  LOOP
    EXECUTE pg_catalog.format('ALTER TABLE %s RENAME TO %I', taken.now, taken.free);
  END LOOP;
END
{{ crate::name::BODY }};
