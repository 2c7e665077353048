DO {{ crate::name::BODY }}
DECLARE
  reader record;
BEGIN
  -- Who reads through them has locked them before the tables. An owner who stays takes the lock, and changes nothing.
  FOR reader IN
    WITH RECURSIVE above (object) AS (
      SELECT o::regclass::oid FROM pg_catalog.unnest(ARRAY[{{ views }}]::text[]) AS o
      UNION
      SELECT w.ev_class
      FROM above AS a
      JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = a.object AND d.classid = 'pg_catalog.pg_rewrite'::regclass
      JOIN pg_catalog.pg_rewrite AS w ON w.oid = d.objid AND w.rulename = '_RETURN'
    )
    SELECT c.oid::regclass AS name, pg_catalog.pg_get_userbyid(c.relowner) AS owner
    FROM above AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.object
    ORDER BY c.oid DESC
  LOOP
    EXECUTE pg_catalog.format('ALTER TABLE %s OWNER TO %I', reader.name, reader.owner);
  END LOOP;
END
{{ crate::name::BODY }};
