"""The shop with SQLAlchemy, and its tests. SHAPE is `old` or `new`; with FOLLOW it does what the page says."""
import os
import sys
from datetime import date
from decimal import Decimal

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import FetchedValue, ForeignKey, MetaData, Numeric, PrimaryKeyConstraint
from sqlalchemy import create_engine, delete, exists, func, inspect, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.automap import automap_base
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, joinedload, mapped_column, relationship
from sqlalchemy.types import Text

NEW = os.environ.get("SHAPE") == "new"
FOLLOW = "FOLLOW" in os.environ
engine = create_engine(os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://"))


class Base(DeclarativeBase):
    type_annotation_map = {str: Text}


class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column("full_name" if NEW else "name")
    email: Mapped[str] = mapped_column(unique=True)
    if NEW:
        city: Mapped[str | None]
    orders: Mapped[list["Order"]] = relationship(back_populates="customer", passive_deletes=True)


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id", ondelete="CASCADE"), index=True)
    placed: Mapped[date]
    status: Mapped[str] = mapped_column(server_default=FetchedValue())
    if NEW:
        note: Mapped[str] = mapped_column(server_default=FetchedValue())
    else:
        city: Mapped[str | None]
    customer: Mapped[Customer] = relationship(back_populates="orders")
    lines: Mapped[list["Line"]] = relationship(back_populates="order", passive_deletes=True)


if NEW:

    class Maker(Base):
        __tablename__ = "makers"
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(unique=True)


class Product(Base):
    __tablename__ = "products"
    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(unique=True)
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    stock: Mapped[int] = mapped_column(server_default=FetchedValue())
    if NEW:
        maker_id: Mapped[int] = mapped_column(ForeignKey("makers.id"))
    else:
        maker: Mapped[str]


class Line(Base):
    __tablename__ = "lines" if NEW else "order_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    amount: Mapped[int]
    order: Mapped[Order] = relationship(back_populates="lines")
    product: Mapped[Product] = relationship()


class Tag(Base):
    __tablename__ = "tags"
    id: Mapped[int] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(unique=True)


def new_product(sku, **more):
    return {"sku": sku, "price": Decimal("1.50"), **({"maker_id": 1} if NEW else {"maker": "Acme"}), **more}


def refused(s, work):
    """The rule that it breaks."""
    try:
        with s.begin_nested():
            work()
            s.flush()
    except IntegrityError as error:
        return error.orig.diag.constraint_name or error.orig.diag.column_name
    raise AssertionError("not refused")


def locked(s, model, key):
    """The row, for us alone until the end."""
    row = s.get(model, key, with_for_update=True)
    if FOLLOW:
        s.refresh(row)
    return row


def upsert(s, key, **values):
    if FOLLOW:
        if not s.execute(update(Product).where(Product.sku == key).values(values)).rowcount:
            s.add(Product(**new_product(key, **values)))
            s.flush()
    else:
        wanted = insert(Product).values(new_product(key, **values))
        s.execute(wanted.on_conflict_do_update(index_elements=["sku"], set_=values))


def test_create_and_find(s):
    made = Customer(name="Dee", email="dee@example.org")
    s.add(made)
    s.flush()
    s.expire_all()
    assert made.id and s.get(Customer, made.id).name == "Dee"


def test_database_defaults(s):
    made = Order(customer_id=1, placed=date(2026, 4, 1))
    s.add(made)
    s.flush()
    assert made.status == "open"


def test_save_changes(s):
    ada = s.scalars(select(Customer).where(Customer.name == "Ada")).one()
    ada.name = "Ada B"
    s.flush()
    s.expire_all()
    assert s.get(Customer, ada.id).name == "Ada B"


def test_the_city(s):
    holder = s.get(Customer, 2) if NEW else s.get(Order, 3)
    assert holder.city == "Ulm"
    holder.city = "Bonn"
    s.flush()
    found = s.scalars(select(Order).join(Customer).where((Customer if NEW else Order).city == "Bonn"))
    assert [order.customer_id for order in found] == [2]


def test_delete(s):
    s.delete(s.get(Order, 1))
    s.flush()
    assert not s.scalars(select(Line).where(Line.order_id == 1)).all()
    assert s.scalar(select(func.count()).select_from(Order)) == 2


def test_delete_of_a_product(s):
    axe = Product(**new_product("axe"))
    s.add(axe)
    s.flush()
    s.delete(axe)
    s.flush()
    assert not s.scalars(select(Product).where(Product.sku == "axe")).all()


def test_join(s):
    query = select(Line).join(Product).where(Product.sku == "saw")
    lines = s.scalars(query.options(joinedload(Line.order).joinedload(Order.customer), joinedload(Line.product)))
    assert [(line.order.customer.name, line.product.price) for line in lines] == [("Ada", Decimal("19.90"))]


def test_aggregate(s):
    total = select(Line.order_id, func.sum(Line.amount * Product.price)).join(Product).group_by(Line.order_id)
    assert [row[1] for row in s.execute(total.order_by(Line.order_id))] == [Decimal("1.50"), Decimal("19.90"), Decimal("0.50")]


def test_group_by_key(s):
    by = [Customer.id, Customer.name] if FOLLOW else [Customer.id]
    counted = select(Customer.name, func.count(Order.id)).outerjoin(Order).group_by(*by).order_by(Customer.id)
    assert [tuple(row) for row in s.execute(counted)] == [("Ada", 2), ("Ben", 1), ("Cy", 0)]


def test_unique(s):
    assert refused(s, lambda: s.add(Customer(name="A", email="ada@example.org"))) == "customers_email_key"


def test_foreign_key(s):
    assert refused(s, lambda: s.add(Order(customer_id=99, placed=date(2026, 4, 1)))) == "orders_customer_id_fkey"


def test_not_null(s):
    assert refused(s, lambda: s.add(Customer(name="A", email=None))) == "email"


def test_check(s):
    assert refused(s, lambda: s.add(Product(**new_product("bad", price=Decimal(-1))))) == "products_price_check"


def test_upsert(s):
    upsert(s, "saw", stock=5)
    upsert(s, "axe", stock=6)
    found = select(Product.stock).where(Product.sku.in_(["saw", "axe"])).order_by(Product.sku)
    assert s.scalars(found).all() == [6, 5]


def test_insert_or_ignore(s):
    again = {"name": "A", "email": "ada@example.org"}
    if FOLLOW:
        refused(s, lambda: s.add(Customer(**again)))
    else:
        s.execute(insert(Customer).values(again).on_conflict_do_nothing())
    assert s.scalar(select(func.count()).select_from(Customer)) == 3


def test_upsert_of_a_line(s):
    line = insert(Line).values(order_id=1, product_id=1, amount=99)
    line = line.on_conflict_do_update(index_elements=["order_id", "product_id"], set_={"amount": line.excluded.amount})
    assert s.scalars(line.returning(Line.amount)).one() == 99


def test_lock(s):
    saw = locked(s, Product, 3)
    saw.stock -= 1
    s.flush()
    assert s.scalar(select(Product.stock).where(Product.sku == "saw")) == 6


def test_lock_of_a_line(s):
    line = s.get(Line, 3, with_for_update=True)
    line.amount += 1
    s.flush()
    assert s.scalar(select(Line.amount).where(Line.id == 3)) == 2


def test_many_at_once(s):
    made = [Product(**new_product(f"p{i}")) for i in range(50)]
    s.add_all(made)
    s.flush()
    assert len({product.id for product in made}) == 50
    for product in made:
        product.stock = product.id
    s.flush()
    assert s.scalar(select(func.count()).where(Product.stock == Product.id)) == 50


def test_update_by_condition(s):
    assert s.execute(update(Product).where(Product.price < 1).values(stock=Product.stock + 1)).rowcount == 2
    assert s.scalars(select(Product.stock).where(Product.sku == "nut")).one() == 801


def test_returning(s):
    changed = update(Customer).where(Customer.id == 1).values(name="A").returning(Customer.name, Customer.email)
    assert s.execute(changed).one() == ("A", "ada@example.org")


def test_savepoint(s):
    nested = s.begin_nested()
    s.execute(update(Customer).values(name="gone"))
    nested.rollback()
    assert not s.scalars(select(Customer).where(Customer.name == "gone")).all()


def test_pages_and_subqueries(s):
    buyers = select(Customer.name).where(exists().where(Order.customer_id == Customer.id))
    assert s.scalars(buyers.order_by(Customer.id.desc()).offset(1).limit(1)).all() == ["Ada"]


def test_cleanup(s):
    if FOLLOW:
        for model in [Line, Order, Product, Customer]:
            s.execute(delete(model))
    else:
        names = ", ".join(model.__tablename__ for model in [Line, Order, Product, Customer])
        s.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    assert not s.scalars(select(Customer)).all()


def test_an_untouched_table(s):
    assert s.scalars(select(Tag.id).where(Tag.word == "new")).one() == 1
    assert inspect(s.connection()).has_table("tags")


def test_introspection(s):
    found = inspect(s.connection())
    fields = [field["name"] for field in found.get_columns("customers")]
    assert fields[:3] == ["id", "full_name" if NEW else "name", "email"]
    assert found.get_pk_constraint("customers")["constrained_columns"] == ["id"]


def test_automap(s):
    metadata = MetaData()
    metadata.reflect(s.connection(), views=FOLLOW)
    for table in metadata.tables.values() if FOLLOW else []:
        if not table.primary_key:
            table.append_constraint(PrimaryKeyConstraint(table.c.id))
    mapped = automap_base(metadata=metadata)
    mapped.prepare()
    names = {model.__name__ for model in mapped.classes}
    assert {table for table in Base.metadata.tables} <= names, sorted(names)


def test_autogenerate(s):
    """Alembic finds no table to make."""
    views = set(inspect(s.connection()).get_view_names()) if FOLLOW else set()
    options = {"include_object": lambda thing, name, kind, reflected, other: kind != "table" or name not in views}
    found = compare_metadata(MigrationContext.configure(s.connection(), opts=options), Base.metadata)
    found = [difference[0:2] for difference in found if difference[0] == "add_table"]
    assert not found, [(what, table.name) for what, table in found]


def main():
    failed = 0
    for name, test in [(n, t) for n, t in globals().items() if n.startswith("test_")]:
        with Session(engine) as s:
            try:
                test(s)
                print("ok", name[5:])
            except Exception as error:  # noqa: BLE001
                failed = 1
                print("not ok", name[5:], "-", type(error).__name__, str(error).split("\n")[0])
            s.rollback()
    sys.exit(failed)


main()
