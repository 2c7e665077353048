{%- for c in checks %}
CREATE FUNCTION {{ c.function }}({{ c.types }}) RETURNS boolean LANGUAGE sql RETURN {{ c.expression }};
COMMENT ON FUNCTION {{ c.function }} IS {{ c.comment }};
{%- endfor %}
{%- for t in taken %}
{%- for helper in t.helpers %}
{{ helper }}
{%- endfor %}
CREATE FUNCTION {{ t.function }}({{ t.types }}) RETURNS {{ t.returns }}
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = {{ t.path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
BEGIN
{%- if !t.asked.is_empty() %}
  IF ({{ t.asked }}) IS NOT TRUE THEN RETURN {{ t.nothing }}; END IF;
{%- endif %}
  -- Whoever writes the same key meanwhile waits for the end of the other's transaction, and then sees its row.
  PERFORM pg_catalog.pg_advisory_xact_lock({{ t.lock }});
  RETURN {{ t.answer }};
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ t.function }} IS {{ t.comment }};
{%- endfor %}
{%- for f in refers %}
CREATE FUNCTION {{ f.function }}({{ f.types }}) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = {{ f.path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
BEGIN
  -- As a foreign key does: the row must be there until the end of the transaction.
  PERFORM FROM {{ f.far }} AS f WHERE {{ f.same }} FOR KEY SHARE;
  RETURN FOUND;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ f.function }} IS {{ f.comment }};
{%- endfor %}

