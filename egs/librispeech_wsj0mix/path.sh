# Every recipe shares one environment.
. ../TEMPLATE/path.sh
