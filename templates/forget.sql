CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS $refactor$
BEGIN
  -- Not ON DELETE CASCADE: that acts at the end of the statement, on a row that the same statement has put back too.
  DELETE FROM {{ complement }} AS x WHERE {{ complement_is_old }} AND NOT EXISTS (SELECT FROM {{ target }} AS b WHERE {{ target_is_old }});
  RETURN NULL;
END
$refactor$;
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger }} AFTER DELETE ON {{ target }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
