CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  IF {{ none }} THEN RETURN NULL; END IF;
  PERFORM pg_catalog.pg_advisory_xact_lock(hashtextextended({{ lock_key }}, 7));
  IF (SELECT pg_catalog.count(*) FROM (SELECT FROM {{ other }} AS t WHERE {{ is_new }} LIMIT 2) AS q) > 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', SCHEMA = {{ schema_literal }}, TABLE = {{ table_literal }},
      MESSAGE = {{ twice }}, HINT = {{ twice_hint }};
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_insert }} AFTER INSERT ON {{ other }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
CREATE TRIGGER {{ trigger_update }} AFTER UPDATE ON {{ other }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ function }}();
