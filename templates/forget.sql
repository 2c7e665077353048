CREATE FUNCTION {{ function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS $refactor$
BEGIN
  -- Not ON DELETE CASCADE: that acts at the end of the statement, on a row that the same statement has put back too.
{%- if !changed.is_empty() %}
  -- And what was remembered of a stored value is over when it changes, even if the same value comes again.
{%- endif %}
  DELETE FROM {{ complement }} AS x WHERE {{ complement_is_old }} AND {% if !changed.is_empty() %}(TG_OP = 'UPDATE' OR {% endif %}NOT EXISTS (SELECT FROM {{ target }} AS b WHERE {{ target_is_old }}){% if !changed.is_empty() %}){% endif %};
  RETURN NULL;
END
$refactor$;
COMMENT ON FUNCTION {{ function }}() IS {{ comment }};
CREATE TRIGGER {{ trigger }} AFTER DELETE ON {{ target }}
  FOR EACH ROW EXECUTE FUNCTION {{ function }}();
{%- if !changed.is_empty() %}
CREATE TRIGGER {{ trigger_changed }} AFTER UPDATE ON {{ target }}
  FOR EACH ROW WHEN ({{ changed }}) EXECUTE FUNCTION {{ function }}();
{%- endif %}