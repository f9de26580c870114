"""The engines that make shadow copies (vshadow, diskshadow, WMI), behind one interface; and doing without one."""
