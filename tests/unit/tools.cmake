# The command line program: everything of it that needs no server. The state file's test writes into a temporary folder.
foreach(name args out state webhook filter template account books letters redrive recover_life sorter dump replay retention)
  pay_test(test_tools_${name} unit SOURCES test_tools_${name}.c LINK pay_tools)
endforeach()
