CREATE FUNCTION {{ get }}({% for k in keys %}{{ k.arg }} {{ k.type_name }}, {% endfor %}OUT known boolean, OUT value {{ type_name }})
LANGUAGE plpgsql VOLATILE{{ rights }} SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  -- A value that is a row itself is taken apart by INTO, unless it is a field of one.
  g record;
BEGIN
  IF pg_catalog.current_setting('transaction_isolation') = 'read committed' THEN
    SELECT true AS known, a0.{{ column }} AS value INTO g FROM {{ members }} WHERE {{ in_group }} LIMIT 1;
  ELSE
    -- A fixed snapshot cannot see a concurrent change, so let it raise 40001.
    SELECT true AS known, a0.{{ column }} AS value INTO g FROM {{ members }} WHERE {{ in_group }} LIMIT 1 FOR SHARE OF a0;
  END IF;
  IF NOT FOUND THEN
    SELECT NOT x.refactor_unknown AS known, x.{{ value }} AS value INTO g FROM {{ complement }} AS x WHERE {{ complement_row }};
  END IF;
  known := coalesce(g.known, true);
  value := g.value;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ get }} IS {{ comment }};

CREATE FUNCTION {{ set }}({% for k in keys %}{{ k.arg }} {{ k.type_name }}, {% endfor %}value {{ type_name }}) RETURNS void
LANGUAGE plpgsql VOLATILE{{ rights }} SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  changed bigint;
BEGIN
  -- Again for rows that came meanwhile; not for ever, since a trigger of the table may make another value of it.
  FOR attempt IN 1 .. 3 LOOP
    UPDATE {{ source }} AS a0 SET {{ column }} = value{{ members_from }}
    WHERE {{ in_group_joined }} AND pg_catalog.record_image_ne(ROW(a0.{{ column }}), ROW(value));
    GET DIAGNOSTICS changed = ROW_COUNT;
    EXIT WHEN changed = 0;
  END LOOP;
  IF NOT EXISTS (SELECT FROM {{ members }} WHERE {{ in_group }}) THEN
    INSERT INTO {{ complement }} AS x ({% for k in keys %}{{ k.complement }}, {% endfor %}{{ value }})
    VALUES ({% for k in keys %}{{ k.arg }}, {% endfor %}value)
    ON CONFLICT ({{ complement_keys }}) DO UPDATE SET {{ value }} = excluded.{{ value }}, refactor_unknown = false;
  END IF;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ set }} IS {{ comment }};

CREATE FUNCTION {{ save }}({% for k in keys %}{{ k.arg }} {{ k.type_name }}, {% endfor %}value {{ type_name }}) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
BEGIN
  -- Remembers the value for the time that no row has it. Nothing is written when it stands there already.
  INSERT INTO {{ complement }} AS x ({% for k in keys %}{{ k.complement }}, {% endfor %}{{ value }})
  SELECT {% for k in keys %}{{ k.arg }}, {% endfor %}value FROM {{ target }} AS b
  WHERE {{ target_row }}
    AND NOT EXISTS (SELECT FROM {{ complement }} AS x
      WHERE {{ complement_row }} AND NOT x.refactor_unknown AND pg_catalog.record_image_eq(ROW(x.{{ value }}), ROW(value)))
  FOR KEY SHARE OF b
  ON CONFLICT ({{ complement_keys }}) DO UPDATE SET {{ value }} = excluded.{{ value }}, refactor_unknown = false;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ save }} IS {{ comment }};

CREATE FUNCTION {{ via }}() RETURNS {{ type_name }}
LANGUAGE plpgsql VOLATILE AS {{ crate::name::BODY }}
BEGIN
  -- The default of a hidden field: tells the trigger of the table that this row came through the new shape.
  PERFORM pg_catalog.set_config('{{ via_setting }}', '1', true);
  RETURN {{ fill }};
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ via }}() IS {{ comment }};

CREATE FUNCTION {{ before }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  via boolean := false;
  adopt boolean := false;
  g record;
{%- for k in keys %}
  {{ k.arg }} {{ k.type_name }};
{%- if multi %}
  again_{{ k.arg }} {{ k.type_name }};
{%- endif %}
{%- endfor %}
BEGIN
  IF TG_OP = 'INSERT' THEN
    via := coalesce(pg_catalog.current_setting('{{ via_setting }}', true), '') = '1';
    IF via THEN PERFORM pg_catalog.set_config('{{ via_setting }}', '', true); END IF;
{%- if !lost_reference.is_empty() %}
    -- Nothing can be found for it, and the foreign key is checked only later.
    IF via AND NEW.{{ column }} IS NOT DISTINCT FROM NULL AND {{ lost_reference }} THEN
      RAISE EXCEPTION USING ERRCODE = 'foreign_key_violation', SCHEMA = {{ source_schema }}, TABLE = {{ source_name }},
        CONSTRAINT = {{ reference_name }}, MESSAGE = {{ reference_message }};
    END IF;
{%- endif %}
  ELSE
    -- Row by row and before the change: within one statement rows may leave a group and others enter it.
{%- if multi %}
    LOOP
      {{ resolve_old }}
      EXIT WHEN {{ no_key }};
      PERFORM 1 FROM {{ target }} AS b WHERE {{ target_row }} FOR KEY SHARE;
      {{ resolve_old_again }}
      EXIT WHEN {{ same_key }};
    END LOOP;
{%- else %}
    {{ resolve_old }}
{%- endif %}
    IF NOT ({{ no_key }}) THEN
      PERFORM {{ save }}({% for k in keys %}{{ k.arg }}, {% endfor %}OLD.{{ column }});
    END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
{%- if !renumbered.is_empty() %}
    -- Renumbered by ON UPDATE CASCADE: the same group under another key.
    IF {{ renumbered }} THEN RETURN NEW; END IF;
{%- endif %}
  END IF;
  adopt := via OR (TG_OP = 'INSERT' AND NEW.{{ column }} IS NOT DISTINCT FROM NULL);
  IF TG_OP = 'UPDATE' THEN adopt := pg_catalog.record_image_eq(ROW(NEW.{{ column }}), ROW(OLD.{{ column }})); END IF;
  -- Who only takes the group's value over needs the lock that the foreign key check takes anyway;
  -- who writes it, FOR UPDATE. Look, lock once at the right strength, look again under the lock.
{%- if multi %}
  LOOP
    {{ resolve_new }}
    IF {{ no_key }} THEN RETURN NEW; END IF;
{%- else %}
  {{ resolve_new }}
  IF {{ no_key }} THEN RETURN NEW; END IF;
{%- endif %}
  g := {{ get }}({{ args }});
  IF NOT via AND (NOT g.known OR (NOT adopt AND pg_catalog.record_image_ne(ROW(NEW.{{ column }}), ROW(g.value)))) THEN
    PERFORM 1 FROM {{ target }} AS b WHERE {{ target_row }} FOR UPDATE;
  ELSE
    PERFORM 1 FROM {{ target }} AS b WHERE {{ target_row }} FOR KEY SHARE;
  END IF;
  -- It refers to nothing (yet): a foreign key has its say; without one, those that refer to the same have one value.
  IF NOT FOUND THEN
    IF adopt THEN
      SELECT a0.{{ column }} AS value INTO g FROM {{ members }} WHERE {{ in_group }} LIMIT 1;
      IF FOUND THEN NEW.{{ column }} := g.value; END IF;
    END IF;
    RETURN NEW;
  END IF;
{%- if multi %}
    {{ resolve_new_again }}
    EXIT WHEN {{ same_key }};
  END LOOP;
{%- endif %}
  g := {{ get }}({{ args }});
  IF NOT g.known THEN RETURN NEW; END IF;
  IF adopt THEN
    NEW.{{ column }} := g.value;
    RETURN NEW;
  END IF;
  IF pg_catalog.record_image_ne(ROW(NEW.{{ column }}), ROW(g.value)) AND {{ reject }}
    AND (g.value IS DISTINCT FROM NULL OR EXISTS (SELECT FROM {{ members }} WHERE {{ in_group }})) THEN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', SCHEMA = {{ source_schema }}, TABLE = {{ source_name }},
      COLUMN = {{ column_literal }}, MESSAGE = {{ message }},
      DETAIL = pg_catalog.format('Key ({{ key_names }})=(%s) has %s, not %s.', pg_catalog.concat_ws(', ', {{ args }}),
        coalesce(pg_catalog.quote_literal(g.value::text), 'NULL'), coalesce(pg_catalog.quote_literal(NEW.{{ column }}::text), 'NULL')),
      HINT = {{ hint }};
  END IF;
  RETURN NEW;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ before }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_insert }} BEFORE INSERT ON {{ source }}
  FOR EACH ROW EXECUTE FUNCTION {{ before }}();
CREATE TRIGGER {{ trigger_update }} BEFORE UPDATE ON {{ source }}
  FOR EACH ROW WHEN ({{ key_changed }}) EXECUTE FUNCTION {{ before }}();
CREATE TRIGGER {{ trigger_delete }} BEFORE DELETE ON {{ source }}
  FOR EACH ROW EXECUTE FUNCTION {{ before }}();

CREATE FUNCTION {{ settle }}({% for k in keys %}{{ k.arg }} {{ k.type_name }}, {% endfor %}winner {{ type_name }}, winners bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
BEGIN
  IF {{ reject }} OR winners > 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', SCHEMA = {{ source_schema }}, TABLE = {{ source_name }},
      COLUMN = {{ column_literal }}, MESSAGE = {{ message }},
      DETAIL = pg_catalog.format('Key ({{ key_names }})=(%s) would have more than one value.', pg_catalog.concat_ws(', ', {{ args }})),
      HINT = {{ hint }};
  END IF;
  PERFORM 1 FROM {{ target }} AS b WHERE {{ target_row }} FOR UPDATE;
  PERFORM {{ set }}({{ args }}, winner);
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ settle }} IS {{ comment }};

CREATE FUNCTION {{ after }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  w record;
BEGIN
{%- if multi %}
  IF coalesce(pg_catalog.current_setting('{{ quiet_setting }}', true), '') = '1' THEN RETURN NULL; END IF;
{%- endif %}
  IF TG_OP = 'INSERT' THEN
    -- A value is new when all rows of the group that have it came with this statement.
    FOR w IN
      SELECT DISTINCT ON ({{ q_keys }}) {{ q_keys }}, q.v AS winner, pg_catalog.count(*) OVER (PARTITION BY {{ q_keys }}) AS winners
      FROM (SELECT DISTINCT ON ({{ new_key_list }}, {{ member_value }}) {{ new_keys_as }}, a0.{{ column }} AS v, {{ member_value }} AS same,
              pg_catalog.count(*) OVER (PARTITION BY {{ new_key_list }}, {{ member_value }}) AS n
            FROM new_rows AS a0{{ hop_joins }} WHERE {{ new_has_key }}) AS q
      WHERE q.n = (SELECT pg_catalog.count(*) FROM {{ members }} WHERE {{ in_group_q }} AND {{ member_value }} IS NOT DISTINCT FROM q.same)
        AND EXISTS (SELECT FROM {{ members }} WHERE {{ in_group_q }} AND {{ member_value }} IS DISTINCT FROM q.same)
      ORDER BY {{ q_keys }}
    LOOP
      PERFORM {{ settle }}({% for k in keys %}w.{{ k.arg }}, {% endfor %}w.winner, w.winners);
    END LOOP;
  ELSE
    FOR w IN
      SELECT DISTINCT ON ({{ q_keys }}) {{ q_keys }}, q.v AS winner, q.same, pg_catalog.count(*) OVER (PARTITION BY {{ q_keys }}) AS winners
      FROM (SELECT DISTINCT ON ({{ e_keys }}, e.same) e.*
            FROM (SELECT d.*, pg_catalog.bool_or(d.was) OVER (PARTITION BY {{ d_keys }}, d.same) AS kept
                  FROM (SELECT {{ new_keys_as }}, a0.{{ column }} AS v, {{ member_value }} AS same, false AS was FROM new_rows AS a0{{ hop_joins }} WHERE {{ new_has_key }}
                        UNION ALL
                        SELECT {{ new_keys_as }}, a0.{{ column }} AS v, {{ member_value }} AS same, true AS was FROM old_rows AS a0{{ hop_joins }} WHERE {{ new_has_key }}) AS d) AS e
            WHERE NOT e.kept) AS q
      ORDER BY {{ q_keys }}
    LOOP
      -- Lock before looking: an uncommitted row of the group is invisible here.
      PERFORM 1 FROM {{ target }} AS b WHERE {{ target_row_w }} FOR UPDATE;
      IF w.winners > 1
        OR EXISTS (SELECT FROM {{ members }} WHERE {{ in_group_w }} AND {{ member_value }} IS DISTINCT FROM w.same) THEN
        PERFORM {{ settle }}({% for k in keys %}w.{{ k.arg }}, {% endfor %}w.winner, w.winners);
      END IF;
    END LOOP;
  END IF;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ after }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_inserted }} AFTER INSERT ON {{ source }}
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION {{ after }}();
CREATE TRIGGER {{ trigger_updated }} AFTER UPDATE ON {{ source }}
  REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION {{ after }}();

CREATE FUNCTION {{ truncate }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  INSERT INTO {{ complement }} AS x ({% for k in keys %}{{ k.complement }}, {% endfor %}{{ value }})
  SELECT DISTINCT ON ({{ member_key_list }}) {{ member_key_list }}, a0.{{ column }}
  FROM {{ members }} JOIN {{ target }} AS b ON {{ target_joined }}
  ON CONFLICT ({{ complement_keys }}) DO UPDATE SET {{ value }} = excluded.{{ value }}, refactor_unknown = false;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ truncate }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_truncate }} BEFORE TRUNCATE ON {{ source }}
  FOR EACH STATEMENT EXECUTE FUNCTION {{ truncate }}();

CREATE FUNCTION {{ arrived }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} AS {{ crate::name::BODY }}
BEGIN
  -- A row made by old code: its value is unknown until the first row that has one, as old code expects.
  INSERT INTO {{ complement }} ({% for k in keys %}{{ k.complement }}, {% endfor %}refactor_unknown)
  VALUES ({% for k in keys %}NEW.{{ k.target }}, {% endfor %}true)
  ON CONFLICT ({{ complement_keys }}) DO UPDATE SET {{ value }} = NULL, refactor_unknown = true;
  RETURN NULL;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ arrived }}() IS {{ comment }};
CREATE TRIGGER {{ trigger_arrived }} AFTER INSERT ON {{ target }}
  FOR EACH ROW WHEN ({{ arrived_has_key }}) EXECUTE FUNCTION {{ arrived }}();
{% for hop in middle %}
CREATE FUNCTION {{ hop.function }}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {{ path }} SET enable_seqscan = off AS {{ crate::name::BODY }}
#variable_conflict use_variable
DECLARE
  g record;
  m record;
  has boolean;
{%- for k in keys %}
  {{ k.arg }} {{ k.type_name }};
  again_{{ k.arg }} {{ k.type_name }};
{%- endfor %}
BEGIN
  -- A row between the two tables moves: all rows below it go to another group.
  {{ hop.resolve_old_again }}
  IF TG_OP = 'UPDATE' THEN
    {{ hop.resolve_new }}
    PERFORM 1 FROM {{ target }} AS b WHERE ({{ target_row }}) OR ({{ target_row_again }}) ORDER BY {{ target_order }} FOR UPDATE;
  ELSE
    PERFORM 1 FROM {{ target }} AS b WHERE {{ target_row_again }} FOR UPDATE;
  END IF;
  SELECT a0.{{ column }} AS value INTO m FROM {{ hop.below }} WHERE {{ hop.below_old }} LIMIT 1;
  has := FOUND;
  IF has AND NOT ({{ no_key_again }}) THEN
    PERFORM {{ save }}({% for k in keys %}again_{{ k.arg }}, {% endfor %}m.value);
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  IF has AND NOT ({{ no_key }}) AND (({{ no_key_again }}) OR EXISTS (SELECT FROM {{ target }} AS b WHERE {{ target_row_again }})) THEN
    -- Take the new group's value over before the row moves: others moved by this statement must never see a stranger there.
    SELECT true AS known, a0.{{ column }} AS value INTO g FROM {{ members }} WHERE {{ in_group }} AND NOT ({{ hop.is_this }}) LIMIT 1;
    IF NOT FOUND THEN
      SELECT NOT x.refactor_unknown AS known, x.{{ value }} AS value INTO g FROM {{ complement }} AS x WHERE {{ complement_row }};
      IF NOT FOUND THEN SELECT true AS known, NULL::{{ type_name }} AS value INTO g; END IF;
    END IF;
    IF g.known THEN
      PERFORM pg_catalog.set_config('{{ quiet_setting }}', '1', true);
      UPDATE {{ source }} AS a0 SET {{ column }} = g.value{{ hop.below_from }}
      WHERE {{ hop.below_old_joined }} AND pg_catalog.record_image_ne(ROW(a0.{{ column }}), ROW(g.value));
      PERFORM pg_catalog.set_config('{{ quiet_setting }}', '', true);
    END IF;
  END IF;
  RETURN NEW;
END
{{ crate::name::BODY }};
COMMENT ON FUNCTION {{ hop.function }}() IS {{ comment }};
CREATE TRIGGER {{ hop.trigger_update }} BEFORE UPDATE ON {{ hop.table }}
  FOR EACH ROW WHEN ({{ hop.key_changed }}) EXECUTE FUNCTION {{ hop.function }}();
CREATE TRIGGER {{ hop.trigger_delete }} BEFORE DELETE ON {{ hop.table }}
  FOR EACH ROW EXECUTE FUNCTION {{ hop.function }}();
{% endfor %}
