CREATE FUNCTION {{ route }}({{ route_types }}) RETURNS integer LANGUAGE sql
  RETURN CASE{% for r in routes %} WHEN {{ r.takes }} THEN {{ r.number }}{% endfor %}{% if rest %} ELSE 1{% endif %} END;
COMMENT ON FUNCTION {{ route }} IS {{ frame.comment }};

CREATE FUNCTION {{ frame.put }}() RETURNS trigger
LANGUAGE plpgsql{{ frame.rights }} AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
{%- for b in branches %}
  r{{ b.number }} {{ b.table }};
{%- endfor %}
  now record;
  seen record;
  home integer;
  target integer;
{%- if quiet %}
  quiet text;
{%- endif %}
BEGIN
{%- include "filled.sql" %}
  IF TG_OP <> 'INSERT' THEN
    home := OLD.refactor_branch;
    CASE home
{%- for b in branches %}
    WHEN {{ b.number }} THEN
      SELECT b.ctid AS token, b.xmin AS writer INTO now FROM {{ b.table }} AS b WHERE {{ b.this_row }} FOR NO KEY UPDATE;
{%- if let Some((table, this_row)) = b.moved %}
      IF NOT FOUND THEN
        -- Nowhere, or in the other table by now: no row there has the token that this one had.
        SELECT '(0,0)'::tid AS token, b.xmin AS writer INTO now FROM {{ table }} AS b WHERE {{ this_row }};
      END IF;
{%- endif %}
{%- endfor %}
    END CASE;
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF now.token <> OLD.refactor_token THEN
      IF NOT refactor.written_by_us(now.writer) THEN
        RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = '40001',
          HINT = 'The row changed while this statement waited; a view cannot look at it again. Retry the transaction.';
      END IF;
      -- Matched twice by this statement: a table takes the first match and ignores the rest. What a trigger wrote for another
      -- row of it is written on, or goes.
      SELECT v.* INTO seen FROM {{ frame.inner }} AS v
      WHERE v.refactor_branch OPERATOR(pg_catalog.=) home AND v.refactor_token OPERATOR(pg_catalog.=) now.token;
      IF TG_OP = 'UPDATE' THEN
        {{ goes_on|indent(6) }}
      ELSIF NOT FOUND THEN
        RETURN NULL;
      END IF;
    END IF;
  END IF;
  IF TG_OP <> 'DELETE' THEN
{%- for f in required %}
    IF NEW.{{ f.field }} IS NOT DISTINCT FROM NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'not_null_violation', SCHEMA = {{ f.schema }}, TABLE = {{ f.table }}, COLUMN = {{ f.column }},
        MESSAGE = {{ f.message }};
    END IF;
{%- endfor %}
    target := {{ route }}({{ route_new }});
{%- if let Some(c) = check %}
    IF target IS NULL THEN
      RAISE EXCEPTION USING ERRCODE = 'check_violation', SCHEMA = {{ c.schema }}, TABLE = {{ c.table }},
        CONSTRAINT = {{ c.constraint }}, MESSAGE = {{ c.message }};
    END IF;
{%- endif %}
    IF TG_OP = 'UPDATE' AND target = {{ route }}({{ route_old }}) THEN target := home; END IF;
    CASE target
{%- for b in branches %}
    WHEN {{ b.number }} THEN
{%- for p in b.without %}
      IF pg_catalog.record_image_ne(ROW(NEW.{{ p.field }}), ROW({{ p.constant }})) THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', SCHEMA = {{ schema }}, TABLE = {{ table }}, COLUMN = {{ p.column }},
          MESSAGE = {{ p.message }}, HINT = {{ p.hint }};
      END IF;
{%- endfor %}
      IF target = home THEN
{%- if b.sets.is_empty() %}
        SELECT b.* INTO r{{ b.number }} FROM {{ b.table }} AS b WHERE {{ b.this_row }};
{%- else %}
        UPDATE {{ b.table }} AS b SET {{ b.sets }} WHERE {{ b.this_row }} RETURNING b.* INTO r{{ b.number }};
{%- endif %}
        IF NOT FOUND THEN RETURN NULL; END IF;
{%- if let Some(n) = b.numbered %}
        IF NEW.{{ n.field }} <> OLD.{{ n.field }} THEN
          UPDATE {{ n.kept }} AS x SET refactor_value = NEW.{{ n.field }} WHERE {{ n.this_row }};
        END IF;
{%- endif %}
      END IF;
{%- endfor %}
    END CASE;
  END IF;
  IF TG_OP = 'DELETE' OR target <> home THEN
    CASE home
{%- for b in branches %}
    WHEN {{ b.number }} THEN
{%- if !b.referred.is_empty() %}
      IF TG_OP = 'UPDATE' THEN
        -- For whoever refers to it the row stays; a foreign key would see it deleted.
        PERFORM 1 FROM {{ b.table }} AS b WHERE {{ b.this_row }} FOR UPDATE;
{%- for r in b.referred %}
        IF EXISTS (SELECT FROM {{ r.table }} AS c WHERE {{ r.refers }}) THEN
          RAISE EXCEPTION USING ERRCODE = 'feature_not_supported', SCHEMA = {{ schema }}, TABLE = {{ table }},
            MESSAGE = {{ r.message }}, HINT = {{ real }};
        END IF;
{%- endfor %}
      END IF;
{%- endif %}
{%- if let Some(quiet) = b.quiet %}
      quiet := pg_catalog.set_config({{ quiet.setting }}, '1', true);
{%- endif %}
      DELETE FROM {{ b.table }} AS b WHERE {{ b.this_row }};
{%- if let Some(quiet) = b.quiet %}
      quiet := pg_catalog.set_config({{ quiet.setting }}, '', true);
{%- endif %}
{%- endfor %}
    END CASE;
    IF NOT FOUND THEN RETURN NULL; END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  END IF;
  CASE target
{%- for b in branches %}
  WHEN {{ b.number }} THEN
    IF home IS DISTINCT FROM target THEN
{%- if let Some(n) = b.numbered %}
      PERFORM pg_catalog.set_config({{ n.setting }}, ({{ n.given }})::text, true);
{%- endif %}
{%- if let Some(quiet) = b.quiet %}
      quiet := pg_catalog.set_config({{ quiet.setting }}, CASE WHEN home IS NULL OR {{ quiet.other_keys }} THEN '' ELSE '1' END, true);
{%- endif %}
      INSERT INTO {{ b.table }} ({{ b.columns }}){% if b.overriding %} OVERRIDING SYSTEM VALUE{% endif %}
      VALUES ({{ b.values }}) RETURNING * INTO r{{ b.number }};
{%- if let Some(quiet) = b.quiet %}
      quiet := pg_catalog.set_config({{ quiet.setting }}, '', true);
{%- endif %}
      IF NOT FOUND THEN
{%- if let Some(n) = b.numbered %}
        PERFORM pg_catalog.set_config({{ n.setting }}, '', true);
{%- endif %}
        RETURN NULL;
      END IF;
    END IF;
{%- for k in b.kept %}
    IF pg_catalog.record_image_ne(ROW(NEW.{{ k.field }}), ROW({{ k.shown }})) THEN
      {{ k.keep }}
    END IF;
{%- endfor %}
{%- for o in b.own %}
    NEW.{{ o.field }} := {{ o.value }};
{%- endfor %}
{%- endfor %}
  END CASE;
  RETURN NEW;
END
{{ crate::name::BODY }};
{% include "put_end.sql" %}
