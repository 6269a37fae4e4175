"""Suppliers as a page: whose roots this PVA recognises, for which models."""

from flask import Flask, render_template

from edge.principals import require
from pva.manifests.recognition import RecognitionDesk
from pva.web.dashboard.page import PEOPLE
from standards.pki.fingerprints import certificate_sha256


def add_suppliers(app: Flask, recognition: RecognitionDesk) -> None:
    """Add the page."""

    @app.get("/suppliers")
    @require(*PEOPLE)
    def list_suppliers() -> str:
        suppliers = [(each, certificate_sha256(each.root)) for each in recognition.suppliers()]
        return render_template("suppliers.html", suppliers=suppliers)
