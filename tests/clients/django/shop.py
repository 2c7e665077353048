"""The shop as a Django application, and its tests. SHAPE is `old` or `new`; with FOLLOW it does what the page says."""
import os
import sys
from datetime import date
from decimal import Decimal

import django
import psycopg.conninfo
from django.conf import settings

NEW = os.environ.get("SHAPE") == "new"
FOLLOW = "FOLLOW" in os.environ

where = psycopg.conninfo.conninfo_to_dict(os.environ["DATABASE_URL"])
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "NAME": where.pop("dbname"), "OPTIONS": where}},
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=["shop"],
)
sys.modules["shop"] = sys.modules["__main__"]  # one file is the application, too
django.setup()

from django.core.management.color import no_style  # noqa: E402
from django.db import IntegrityError, connection, models, transaction  # noqa: E402
from django.db.models import Count, Exists, F, OuterRef, Sum  # noqa: E402


class Shop(models.Model):
    class Meta:
        abstract = True
        app_label = "shop"
        managed = not FOLLOW  # so Django names all fields in GROUP BY


class Customer(Shop):
    name = models.TextField(db_column="full_name" if NEW else "name")
    email = models.TextField(unique=True)
    if NEW:
        city = models.TextField(null=True)

    class Meta(Shop.Meta):
        db_table = "customers"


class Order(Shop):
    customer = models.ForeignKey(Customer, models.DO_NOTHING)
    placed = models.DateField()
    status = models.TextField(db_default="open")
    if NEW:
        note = models.TextField(db_default="")
    else:
        city = models.TextField(null=True)

    class Meta(Shop.Meta):
        db_table = "orders"


if NEW:
    class Maker(Shop):
        name = models.TextField(unique=True)

        class Meta(Shop.Meta):
            db_table = "makers"


class Product(Shop):
    sku = models.TextField(unique=True)
    price = models.DecimalField(max_digits=10, decimal_places=2)
    stock = models.IntegerField(db_default=0)
    if NEW:
        maker = models.ForeignKey(Maker, models.DO_NOTHING)
    else:
        maker = models.TextField()

    class Meta(Shop.Meta):
        db_table = "products"


class Line(Shop):
    order = models.ForeignKey(Order, models.DO_NOTHING)
    product = models.ForeignKey(Product, models.DO_NOTHING)
    amount = models.IntegerField()

    class Meta(Shop.Meta):
        db_table = "lines" if NEW else "order_lines"


class Tag(Shop):
    word = models.TextField(unique=True)

    class Meta(Shop.Meta):
        db_table = "tags"


def maker(name):
    return Maker.objects.get_or_create(name=name)[0] if NEW else name


def new_product(sku, **more):
    return Product(**{"sku": sku, "price": Decimal("1.50"), "maker": maker("Acme"), **more})


def refused(work):
    """Whether it breaks a rule."""
    try:
        with transaction.atomic():
            work()
    except IntegrityError as error:
        return error.__cause__.diag.constraint_name or error.__cause__.diag.column_name
    raise AssertionError("not refused")


def locked(query):
    """The row, for us alone until the end."""
    row = query.select_for_update().get()
    if FOLLOW:
        row.refresh_from_db()
    return row


def upsert(key, **values):
    if FOLLOW:
        if not Product.objects.filter(sku=key).update(**values):
            new_product(key, **values).save(force_insert=True)
    else:
        Product.objects.bulk_create(
            [new_product(key, **values)], update_conflicts=True, unique_fields=["sku"], update_fields=list(values)
        )


def test_create_and_find():
    made = Customer.objects.create(name="Dee", email="dee@example.org")
    assert made.pk and Customer.objects.get(pk=made.pk).name == "Dee"


def test_database_defaults():
    made = Order.objects.create(customer_id=1, placed=date(2026, 4, 1))
    made.refresh_from_db()
    assert made.status == "open"


def test_save_changes():
    ada = Customer.objects.get(name="Ada")
    ada.name = "Ada B"
    ada.save()
    assert Customer.objects.get(pk=ada.pk).name == "Ada B"


def test_the_city():
    holder = Customer.objects.get(name="Ben") if NEW else Order.objects.get(customer__name="Ben")
    assert holder.city == "Ulm"
    holder.city = "Bonn"
    holder.save()
    found = Order.objects.filter(**{"customer__city" if NEW else "city": "Bonn"})
    assert [order.customer_id for order in found] == [2]


def test_delete():
    Order.objects.get(pk=1).delete()
    assert not Line.objects.filter(order_id=1).exists() and Order.objects.count() == 2


def test_delete_of_a_product():
    Product.objects.get(pk=new_saved("axe")).delete()
    assert not Product.objects.filter(sku="axe").exists()


def new_saved(sku):
    product = new_product(sku)
    product.save()
    return product.pk


def test_join():
    lines = Line.objects.select_related("order__customer", "product").filter(product__sku="saw")
    assert [(line.order.customer.name, line.product.price) for line in lines] == [("Ada", Decimal("19.90"))]


def test_aggregate():
    total = Line.objects.values("order_id").annotate(total=Sum(F("amount") * F("product__price"))).order_by("order_id")
    assert [row["total"] for row in total] == [Decimal("1.50"), Decimal("19.90"), Decimal("0.50")]


def test_group_by_key():
    counted = Customer.objects.annotate(orders=Count("order")).order_by("pk")
    assert [(customer.name, customer.orders) for customer in counted] == [("Ada", 2), ("Ben", 1), ("Cy", 0)]


def test_unique():
    assert refused(lambda: Customer.objects.create(name="A", email="ada@example.org")) == "customers_email_key"


def test_foreign_key():
    assert refused(lambda: Order.objects.create(customer_id=99, placed=date(2026, 4, 1))) == "orders_customer_id_fkey"


def test_not_null():
    assert refused(lambda: Customer.objects.create(name="A", email=None)) == "email"


def test_check():
    assert refused(lambda: new_product("bad", price=Decimal(-1)).save()) == "products_price_check"


def test_upsert():
    upsert("saw", stock=5)
    upsert("axe", stock=6)
    assert [p.stock for p in Product.objects.filter(sku__in=["saw", "axe"]).order_by("sku")] == [6, 5]


def test_insert_or_ignore():
    again = Customer(name="A", email="ada@example.org")
    if FOLLOW:
        refused(again.save)
    else:
        Customer.objects.bulk_create([again], ignore_conflicts=True)
    assert Customer.objects.count() == 3


def test_upsert_of_a_line():
    line = Line(order_id=1, product_id=1, amount=99)
    Line.objects.bulk_create([line], update_conflicts=True, unique_fields=["order", "product"], update_fields=["amount"])
    assert Line.objects.get(order_id=1, product_id=1).amount == 99


def test_get_or_create():
    assert Customer.objects.get_or_create(email="ada@example.org")[1] is False
    assert Customer.objects.get_or_create(email="eve@example.org", defaults={"name": "Eve"})[1] is True


def test_update_or_create():
    Customer.objects.update_or_create(email="ada@example.org", defaults={"name": "A"})
    assert Customer.objects.get(email="ada@example.org").name == "A"


def test_lock():
    saw = locked(Product.objects.filter(sku="saw"))
    saw.stock -= 1
    saw.save()
    assert Product.objects.get(sku="saw").stock == 6


def test_lock_of_a_line():
    line = Line.objects.select_for_update().get(order_id=2)
    line.amount += 1
    line.save()
    assert Line.objects.get(pk=line.pk).amount == 2


def test_many_at_once():
    made = Product.objects.bulk_create([new_product(f"p{i}") for i in range(50)])
    assert len({product.pk for product in made}) == 50
    for product in made:
        product.stock = product.pk
    Product.objects.bulk_update(made, ["stock"])
    assert Product.objects.filter(stock=F("id")).count() == 50


def test_update_by_condition():
    assert Product.objects.filter(price__lt=1).update(stock=F("stock") + 1) == 2
    assert Product.objects.get(sku="nut").stock == 801


def test_savepoint():
    try:
        with transaction.atomic():
            Customer.objects.all().update(name="gone")
            raise KeyError
    except KeyError:
        assert not Customer.objects.filter(name="gone").exists()


def test_pages_and_subqueries():
    buyers = Customer.objects.filter(Exists(Order.objects.filter(customer=OuterRef("pk")))).order_by("-pk")
    assert [customer.name for customer in buyers[1:2]] == ["Ada"]


def test_cleanup():
    everything = [Line, Order, Product, Customer]
    if FOLLOW:
        for model in everything:
            model.objects.all().delete()
    else:  # as TransactionTestCase does
        tables = [model._meta.db_table for model in everything]
        for statement in connection.ops.sql_flush(no_style(), tables, reset_sequences=True):
            connection.cursor().execute(statement)
    assert not Customer.objects.exists()


def test_an_untouched_table():
    assert Tag.objects.get(word="new").pk == 1
    assert "tags" in connection.introspection.table_names()


def test_introspection():
    with connection.cursor() as cursor:
        fields = connection.introspection.get_table_description(cursor, "customers")
        assert [f.name for f in fields][:3] == ["id", "full_name" if NEW else "name", "email"]
        assert connection.introspection.get_primary_key_column(cursor, "customers") == "id"


def main():
    failed = 0
    for name, test in [(n, t) for n, t in globals().items() if n.startswith("test_")]:
        try:
            with transaction.atomic():
                test()
                transaction.set_rollback(True)
            print("ok", name[5:])
        except Exception as error:  # noqa: BLE001
            failed = 1
            print("not ok", name[5:], "-", type(error).__name__, str(error).split("\n")[0])
    sys.exit(failed)


main()
