CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
BEGIN
  -- Not a foreign key: that would forbid TRUNCATE to old code, and its ON DELETE CASCADE acts at the end of the statement,
  -- on a row that the same statement has put back too.
  IF TG_OP = 'TRUNCATE' THEN
{%- for c in complements %}
    DELETE FROM {{ c.table }};
{%- endfor %}
  ELSIF TG_OP = 'DELETE' THEN
    IF NOT EXISTS (SELECT FROM {{ target }} AS b WHERE {{ target_is_old }}) THEN
{%- for c in complements %}
      DELETE FROM {{ c.table }} AS x WHERE {{ complement_is_old }};
{%- endfor %}
    END IF;
  ELSE
{%- for c in complements %}
{%- for a in c.anew %}
    IF {{ a.0 }} THEN
      -- What was remembered of a stored value is over when it changes, even if the same value comes again.
      {{ a.1 }}
    END IF;
{%- endfor %}
    IF {{ key_changed }} THEN
      UPDATE {{ c.table }} AS x SET {{ follow }} WHERE {{ complement_is_old }};
    END IF;
{%- endfor %}
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger }} AFTER DELETE ON {{ target }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
CREATE TRIGGER {{ trigger_update }} AFTER UPDATE ON {{ target }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ function }}();
CREATE TRIGGER {{ trigger_truncate }} AFTER TRUNCATE ON {{ target }}
  FOR EACH STATEMENT EXECUTE FUNCTION {{ function }}();
