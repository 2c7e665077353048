CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS $refactor$
BEGIN
  -- Not a foreign key: that would forbid TRUNCATE to old code, and its ON DELETE CASCADE acts at the end of the statement,
  -- on a row that the same statement has put back too.
  IF TG_OP = 'TRUNCATE' THEN
    DELETE FROM {{ complement }};
  ELSIF TG_OP = 'UPDATE' THEN
    UPDATE {{ complement }} AS x SET {{ follow }} WHERE {{ complement_is_old }};
  ELSE
    DELETE FROM {{ complement }} AS x WHERE {{ complement_is_old }} AND NOT EXISTS (SELECT FROM {{ target }} AS b WHERE {{ target_is_old }});
  END IF;
  RETURN NULL;
END
$refactor$;
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger }} AFTER DELETE ON {{ target }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
CREATE TRIGGER {{ trigger_update }} AFTER UPDATE ON {{ target }}
  FOR EACH ROW WHEN ({{ key_changed }}) EXECUTE FUNCTION {{ function }}();
CREATE TRIGGER {{ trigger_truncate }} AFTER TRUNCATE ON {{ target }}
  FOR EACH STATEMENT EXECUTE FUNCTION {{ function }}();
