#!/bin/sh
# Run a command of a virtual environment with a suitable Java and Spark, and without access to AWS.
#
#   scripts/with-spark.sh DIR COMMAND ARGUMENT...      e.g. .venv pytest tests/spark
#
# The user's variables for Spark, Hadoop and Python are meant for other work: a SPARK_HOME would
# replace the environment's own Spark, a HADOOP_CONF_DIR would redirect local paths to HDFS. The
# variables for AWS must not be used at all: tests and the demo use a local Bedrock, and a mistake
# in them must end in an authentication error, never in a bill.
# SPARK_JAVA_NEWEST: the newest accepted Java (see java.sh).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
venv=$(cd "$1" && pwd)
command=$2
shift 2

for name in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
    case $name in
        # Kept for machines whose host name or default disk is not suitable.
        SPARK_LOCAL_IP | SPARK_LOCAL_HOSTNAME | SPARK_LOCAL_DIRS | SPARK_JAVA_NEWEST) ;;
        AWS_* | SPARK_* | PYSPARK_* | HADOOP_* | HIVE_* | YARN_*) unset "$name" ;;
        PYTHONPATH | PYTHONHOME | PYTHONOPTIMIZE | PYTHONWARNINGS) unset "$name" ;;
        # Images of containers often set it. Then each of our many processes compiles each module.
        PYTHONDONTWRITEBYTECODE) unset "$name" ;;
    esac
done

JAVA_HOME=$("$here/java.sh" ${SPARK_JAVA_NEWEST:+"$SPARK_JAVA_NEWEST"})
PATH=$venv/bin:$JAVA_HOME/bin:$PATH
# Otherwise Spark's workers use the system's python3, which has none of the packages.
PYSPARK_PYTHON=$venv/bin/python
# Set here, because Spark's own search fails for a path with spaces.
SPARK_HOME=$("$venv/bin/python" -I -c '
from importlib.util import find_spec
print(find_spec("pyspark").submodule_search_locations[0])')
# The host name of a laptop often resolves to an address of a network that it has left.
SPARK_LOCAL_IP=${SPARK_LOCAL_IP:-127.0.0.1}
export JAVA_HOME PATH PYSPARK_PYTHON SPARK_HOME SPARK_LOCAL_IP

export AWS_EC2_METADATA_DISABLED=true
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
export AWS_ACCESS_KEY_ID=testing AWS_SECRET_ACCESS_KEY=testing
export AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1
# A proxy cannot reach the local Bedrock on this machine.
export NO_PROXY="127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}"
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"

exec "$venv/bin/$command" "$@"
