"""Write what a platform or an orchestrator needs to run a config: jobs, DAGs, state machines.

Nothing is called and nothing is uploaded: the files are for a person to read, to keep in a
repository, and to hand to the platform's own tools. No file holds a credential.
"""

from bedrock_spark.deploy.airflow import AIRFLOW
from bedrock_spark.deploy.databricks import DATABRICKS
from bedrock_spark.deploy.deployment import Deployment, plan_deployment
from bedrock_spark.deploy.eks import EKS
from bedrock_spark.deploy.emr import EMR
from bedrock_spark.deploy.emr_serverless import EMR_SERVERLESS
from bedrock_spark.deploy.files import DeployedFile, write_files
from bedrock_spark.deploy.glue import GLUE
from bedrock_spark.deploy.stepfunctions import STEP_FUNCTIONS
from bedrock_spark.deploy.target import Context, Option, Plan, Target, option_faults

TARGETS = (EMR, EMR_SERVERLESS, EKS, GLUE, DATABRICKS, AIRFLOW, STEP_FUNCTIONS)

__all__ = [
    "TARGETS",
    "Context",
    "DeployedFile",
    "Deployment",
    "Option",
    "Plan",
    "Target",
    "option_faults",
    "plan_deployment",
    "write_files",
]
